use super::candidates::{self, Written};
use super::given::{self, GivenCritiques};
use super::histograms;
use super::response_verdicts::{self, Asked};
use super::rounds::Round;
use super::session::Session;
use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_method::{CritiqueSettings, READINGS};
use critic_types::{Candidate, ContentHasher, ContentId, FinishReason};
use std::collections::HashSet;

/// Candidates with the address of how they were made, and of those that came in beside them.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(crate) key: ContentId,
    pub(crate) critiques: Vec<Candidate>,
    /// Those that stay whatever the filter says.
    pub(crate) kept: Vec<Candidate>,
}

impl Candidates {
    /// All of them.
    pub(crate) fn all(self) -> Vec<Candidate> {
        [self.critiques, self.kept].concat()
    }
}

/// The address of a round's candidates.
fn address(session: &Session, round: &Round) -> Result<ContentId> {
    let mut hasher = session.critic_hasher("candidates", &round.critic);
    let round_name = format!("round {}", round.index);
    let chosen = serde_json::to_string(&session.resolved.settings.critique)?;
    hasher.text(&chosen).text(&round_name).text(READINGS);
    if session.resolved.settings.critique.label_conditioned {
        hasher.text(session.prompts.conditioned_digest().as_str());
    }
    Ok(hasher.finish())
}

/// The address of candidates among which some were not written by the round's critic but brought in, with
/// indices from `n_candidates` on: what is made of others is another result.
fn with_added(key: ContentId, critiques: &[Candidate], n_candidates: usize) -> Result<ContentId> {
    let added: Vec<&Candidate> =
        critiques.iter().filter(|critique| critique.index >= n_candidates).collect();
    if added.is_empty() {
        return Ok(key);
    }
    let mut hasher = ContentHasher::new("candidates and others");
    hasher.text(key.as_str()).text(&serde_json::to_string(&added)?);
    Ok(hasher.finish())
}

/// The candidates of a round that are in the store, which may be none.
pub(super) fn stored(session: &Session, round: &Round) -> Result<Vec<Candidate>> {
    Ok(session.store.candidates(&address(session, round)?, &session.train.pairs)?)
}

/// Stage 1a: N candidate critiques of every response, by the round's critic, and those that came with the
/// pairs where `data.critiques` asks for them, which may be all there are.
pub(crate) fn run(session: &mut Session, round: &Round) -> Result<Candidates> {
    let key = address(session, round)?;
    let n_candidates = session.resolved.settings.critique.n_candidates;
    session.records.funnel("pairs", session.train.pairs.len(), None);
    let mut critiques = match n_candidates {
        0 => Vec::new(),
        _ => write(session, round, &key)?,
    };
    let use_of_given = session.resolved.settings.data.critiques;
    let mut kept = Vec::new();
    if use_of_given != GivenCritiques::Ignore {
        let given = given::candidates(session, &round.critic, &key, n_candidates)?;
        let n_pairs = given.iter().map(|one| one.pair_id.as_str()).collect::<HashSet<_>>().len();
        session.records.funnel("critiques that came with the pairs", n_pairs, Some(given.len()));
        match use_of_given {
            GivenCritiques::Keep => kept = given,
            GivenCritiques::Filter | GivenCritiques::Ignore => critiques.extend(given),
        }
    }
    if critiques.is_empty() && kept.is_empty() {
        return Err(Fault::data(anyhow!(
            "no critique came with any of the {} pairs: name pairs that bring some (`critic-rm data inspect` counts them), or set critique.n_candidates",
            session.train.pairs.len()
        )));
    }
    let key = with_added(key, &[&critiques[..], &kept].concat(), n_candidates)?;
    Ok(Candidates { key, critiques, kept })
}

/// Lets the round's critic write its candidates.
fn write(session: &mut Session, round: &Round, key: &ContentId) -> Result<Vec<Candidate>> {
    let chosen = &session.resolved.settings.critique;
    let settings = CritiqueSettings {
        n_candidates: chosen.n_candidates,
        sampling: chosen.sampling(),
        seed: session.seed().child(&format!("round {}", round.index)),
        knows_label: chosen.label_conditioned,
    };
    let pairs = session.train.pairs.clone();
    let written =
        candidates::write(session, &round.critic, &pairs, &settings, key, "writing critiques")?;
    let Written { candidates: critiques, n_done, n_failed, seconds, taken } = written;
    if critiques.is_empty() {
        return Err(Fault::data(anyhow!(
            "no critique could be written for any of the {} pairs",
            session.train.pairs.len()
        )));
    }
    // A critic whose probabilities cannot be read after critiques has none without them either.
    let has_verdicts = critiques.iter().any(|critique| critique.scores.verdict.is_some());
    let asked = match has_verdicts {
        true => response_verdicts::ask(session, round)?,
        false => Asked::default(),
    };
    let n_tokens: usize = critiques.iter().map(|critique| critique.n_tokens).sum();
    let n_cut =
        critiques.iter().filter(|critique| critique.finish_reason == FinishReason::Length).count();
    let n_parsed = critiques.iter().filter(|critique| critique.scores.parsed.is_some()).count();
    let answered: HashSet<&str> = critiques.iter().map(|one| one.pair_id.as_str()).collect();
    let n_answered = answered.len();
    session.records.funnel("candidates", n_answered, Some(critiques.len()));
    if let Some(record) = session.records.rounds.last_mut() {
        record.histograms = histograms::of_candidates(&critiques, session.prompts.scale())?;
    }
    if settings.knows_label {
        session.records.notes.push(
            "The critic was told the labels (label_conditioned): how well its scores agree with them says nothing about it."
                .to_owned(),
        );
    }
    if let Some(name) = round.critic.remote_name() {
        let round = round.index + 1;
        let note = format!("The critiques of round {round} are by `{name}`, a remote critic.");
        session.records.notes.push(note);
    }
    session.records.notes.push(format!(
        "{n_parsed} of {} critiques state a readable score on the scale {}; {n_cut} were cut at {} tokens.",
        critiques.len(),
        session.prompts.scale(),
        settings.sampling.max_new_tokens
    ));
    let mut facts = vec![
        ("critiques", critiques.len().to_string()),
        ("of them with a readable score", n_parsed.to_string()),
        ("tokens", n_tokens.to_string()),
    ];
    if seconds > 0.0 && n_done == 0 {
        facts.push(("tokens/s", format!("{:.0}", n_tokens as f64 / seconds)));
    }
    if n_failed > 0 {
        facts.push(("responses failed", n_failed.to_string()));
    }
    facts.extend(taken);
    if !asked.taken.is_empty() {
        facts.push(("for verdicts without critique", asked.taken));
    }
    let seconds = seconds + asked.seconds;
    session.finish(&round.name("critique"), key, seconds, n_done > 0, facts)?;
    Ok(critiques)
}
