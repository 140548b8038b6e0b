use super::critic::Critic;
use super::refine::Refined;
use super::session::Session;
use super::train::{self, TrainedModel, TrainingData};
use super::{Stage, critique, filter, refine};
use crate::methods::{CritiqueSource, Method};
use crate::progress::say;
use crate::settings::RoundStart;
use anyhow::Result;
use critic_model::sources::{LoadedModel, load_folder};
use critic_report::RoundRecord;
use std::rc::Rc;

/// One round: critiques by a model, and what is trained on them.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// From 0.
    pub(crate) index: usize,
    /// Who writes, ranks and summarizes critiques.
    pub(crate) critic: Critic,
}

impl Round {
    /// What stages of this round are called; the first round's names are plain.
    pub(crate) fn name(&self, stage: &str) -> String {
        match self.index {
            0 => stage.to_owned(),
            index => format!("{stage} {}", index + 1),
        }
    }
}

/// Stages 1 and 2, round after round; nothing when `last` comes before the models of the last round.
///
/// A round before the last trains the first method that has critiques, and its model writes those of the
/// next round. The paper leaves such iteration open (its limitations); CLoud (arXiv 2408.11791) writes the
/// critiques it trains the head on anew with the model that learned to write them. A remote critic writes
/// those of the first round. The models of the last round come first, in the order of the methods.
pub(crate) fn run(
    session: &mut Session,
    start: &Rc<LoadedModel>,
    last: Stage,
) -> Result<Option<Vec<TrainedModel>>> {
    let settings = session.resolved.settings.clone();
    let methods = Method::resolve_all(&settings.methods, &settings.train)?;
    let writer = methods.iter().find(|method| method.reads_critiques()).cloned();
    let n_rounds = if writer.is_some() { settings.rounds.n } else { 1 };
    let mut round = Round { index: 0, critic: Critic::of_run(session, start) };
    let mut from = start.clone();
    let (mut trained, mut earlier) = (Vec::new(), Vec::new());
    loop {
        let is_last = round.index + 1 == n_rounds;
        if n_rounds > 1 {
            say(format!("round {} of {n_rounds}", round.index + 1));
        }
        let until = if is_last { last } else { Stage::Train };
        // Who asks for critiques alone gets them even where no method would read them.
        let critiques = if writer.is_some() || until < Stage::Train {
            session.records.rounds.push(RoundRecord {
                round: round.index + 1,
                critic: critic_name(session, &round, earlier.last()),
                ..RoundRecord::default()
            });
            match critiques(session, &round, &methods, until)? {
                Some(critiques) => critiques,
                None => return Ok(None),
            }
        } else {
            Critiques::default()
        };
        if until < Stage::Train {
            return Ok(None);
        }
        for method in methods.iter().filter(|method| is_last || writer_is(&writer, method)) {
            let is_writer = writer_is(&writer, method);
            let mut method = method.clone();
            if !is_last {
                method.name = format!("{}-round-{}", method.name, round.index + 1);
            }
            if let (true, Some(record)) = (is_writer, session.records.rounds.last_mut()) {
                record.trained = Some(method.name.clone());
            }
            let data = critiques.of(method.critiques, session);
            trained.push(train::run(session, &method, &from, data)?);
        }
        if is_last {
            trained.extend(earlier);
            return Ok(Some(trained));
        }
        let Some(model) = trained.pop() else { return Ok(None) };
        let critic = Rc::new(load_folder(&model.folder)?);
        earlier.push(model);
        if settings.rounds.train_from == RoundStart::Previous {
            from = critic.clone();
        }
        round = Round { index: round.index + 1, critic: Critic::Local(critic) };
    }
}

fn writer_is(writer: &Option<Method>, method: &Method) -> bool {
    writer.as_ref().is_some_and(|writer| writer.name == method.name)
}

/// Who writes a round's critiques, as the report names it.
fn critic_name(session: &Session, round: &Round, trained: Option<&TrainedModel>) -> String {
    match (round.critic.remote_name(), trained) {
        (Some(name), _) => format!("{name} (remote)"),
        (None, Some(model)) => model.name.clone(),
        (None, None) if session.resolved.settings.warmup.data.as_os_str().is_empty() => {
            session.base.identity.name.clone()
        }
        (None, None) => format!("{} after warm-up", session.base.identity.name),
    }
}

/// The critiques of a round that some method trains on.
#[derive(Debug, Default)]
struct Critiques {
    candidates: Option<Refined>,
    refined: Option<Refined>,
}

impl Critiques {
    fn of(&self, source: CritiqueSource, session: &Session) -> TrainingData {
        let from = match source {
            CritiqueSource::None => None,
            CritiqueSource::Candidates => self.candidates.as_ref(),
            CritiqueSource::Refined => self.refined.as_ref(),
        };
        TrainingData::of_pairs(session, from)
    }
}

/// Stage 1 of a round; nothing when `until` comes before its end.
fn critiques(
    session: &mut Session,
    round: &Round,
    methods: &[Method],
    until: Stage,
) -> Result<Option<Critiques>> {
    let uses = |source| methods.iter().any(|method| method.critiques == source);
    let candidates = critique::run(session, round)?;
    if until < Stage::Filter {
        return Ok(None);
    }
    let refined = if uses(CritiqueSource::Refined) || until < Stage::Train {
        let survivors = filter::run(session, round, &candidates)?;
        if until < Stage::Refine {
            return Ok(None);
        }
        Some(refine::run(session, round, &survivors)?)
    } else {
        None
    };
    let candidates = uses(CritiqueSource::Candidates)
        .then(|| Refined { key: candidates.key.clone(), critiques: candidates.all() });
    Ok(Some(Critiques { candidates, refined }))
}
