use super::critic::Critic;
use super::session::Session;
use super::train::{Heads, TrainingData, train};
use crate::exit::Fault;
use crate::methods::{CritiqueSource, Method, WARMUP};
use crate::progress::say;
use crate::settings::PrecisionSetting;
use anyhow::{Result, anyhow};
use critic_data::{ReadOptions, read_pairs};
use critic_model::sources::{LoadedModel, load_folder};
use critic_types::{ContentHasher, PreferencePair};
use std::collections::HashMap;
use std::rc::Rc;

mod measure;

/// Whether there is no warm-up, or one has ended in this folder.
pub(super) fn is_done(session: &Session) -> bool {
    let is_none = session.resolved.settings.warmup.data.as_os_str().is_empty();
    is_none || session.folder.has_trained(WARMUP)
}

/// Stage 0: the critic learns, by the language model's loss alone, from critiques that are known to be
/// right; what follows starts from its weights. Without data for it, from the model as it was loaded.
///
/// The paper starts from a model that can criticise already (Llama 3.1 70B Instruct); a small one has to
/// be shown how.
pub(crate) fn run(session: &mut Session) -> Result<Rc<LoadedModel>> {
    let settings = session.resolved.settings.warmup.clone();
    let base = session.base.clone();
    if settings.data.as_os_str().is_empty() {
        return Ok(base);
    }
    let options = ReadOptions {
        strict: session.resolved.settings.data.strict,
        limit: (settings.limit > 0).then_some(settings.limit),
        ..ReadOptions::default()
    };
    let set = read_pairs(&settings.data, &options)?;
    refuse_held_out(session, &set.pairs)?;
    let file = settings.data.display().to_string();
    let all = &session.resolved.settings;
    super::pairs::refuse_without_reference(&session.prompts, all, &file, &set.pairs)?;
    let mut hasher = ContentHasher::new("critiques that came with the data");
    let mut pairs = TrainingData::with_own_critiques(&set.pairs, &set.critiques);
    pairs.retain(|(_, critiques)| !critiques.is_empty());
    for (pair, critiques) in &pairs {
        hasher.text(pair.content_id().as_str());
        critiques.iter().for_each(|critique| {
            hasher.text(critique.side.as_str()).text(&critique.text);
        });
    }
    if pairs.is_empty() {
        return Err(Fault::data(anyhow!(
            "{}: none of its {} pairs comes with a critique of one of its responses; make some with `critic-rm data synth corrupted`, or leave warmup.data empty",
            settings.data.display(),
            set.pairs.len()
        )));
    }
    let before = measure::run(session, &Critic::Local(base.clone()), "before warm-up")?;
    let method = Method {
        name: WARMUP.to_owned(),
        critiques: CritiqueSource::Candidates,
        train: session.resolved.settings.train.warmup(&settings),
        leaves_precision: session.resolved.settings.train.precision == PrecisionSetting::Auto,
    };
    let data = TrainingData { pairs, keys: vec![hasher.finish()] };
    let trained = train(session, &method, &base, data, Heads::Language)?;
    let critic = Rc::new(load_folder(&trained.folder)?);
    let after = measure::run(session, &Critic::Local(critic.clone()), "after warm-up")?;
    let remote = Critic::of_run(session, &critic);
    let beside = match remote.remote_name() {
        Some(_) => measure::run(session, &remote, "remote critic")?,
        None => None,
    };
    for (who, quality) in [
        ("The critic before its warm-up", before),
        ("The critic after its warm-up", after),
        ("The remote critic", beside),
    ] {
        if let Some(quality) = quality {
            let line = format!("{who}: {quality}.");
            say(&line);
            session.records.notes.push(line);
        }
    }
    Ok(critic)
}

/// What the critic learned from must not be what the run is measured on.
fn refuse_held_out(session: &Session, pairs: &[PreferencePair]) -> Result<()> {
    let held_out: HashMap<String, &str> = session
        .eval
        .pairs
        .iter()
        .map(|pair| (pair.prompt.last_user_text().to_owned(), pair.id.as_str()))
        .collect();
    let shared: Vec<&str> = pairs
        .iter()
        .filter_map(|pair| held_out.get(pair.prompt.last_user_text()).copied())
        .collect();
    match shared.first() {
        None => Ok(()),
        Some(first) => Err(Fault::data(anyhow!(
            "{} of the warm-up pairs have the prompt of a held-out pair (the first is `{first}` of {}); take them out with `critic-rm data overlap`",
            shared.len(),
            session.eval.file
        ))),
    }
}
