use super::refine::Refined;
use super::session::Session;
use crate::exit::Fault;
use crate::progress::{Meter, say};
use anyhow::{Context, Result, anyhow};
use critic_local::LocalEngine;
use critic_model::sources::{load_folder, write_hf_folder};
use critic_model::{Decoder, RewardHead, WeightFormat};
use critic_report::FunnelStep;
use critic_text::Prompts;
use critic_train::{
    CritiqueText, Ended, StepRecord, TrainConfig, TrainableModel, Trainer, build_pairs,
};
use critic_types::{ContentId, PreferencePair, atomic_file};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long training goes on between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(120);

/// The newest layout of `training.json` that this build reads and writes.
const FORMAT_VERSION: u32 = 1;

/// A finished training, written last into its folder.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format_version: u32,
    /// Address of model, data and settings.
    key: ContentId,
    /// Tokenizer, template and end of turn that the model was trained with.
    renderer: ContentId,
    /// Prompts that the model was trained with.
    prompts: ContentId,
    /// The model it started from.
    base: String,
    records: Vec<StepRecord>,
}

/// A reward model of this run.
#[derive(Debug, Clone)]
pub(crate) struct TrainedModel {
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
    pub(crate) key: ContentId,
}

impl TrainedModel {
    /// The model as a scorer.
    pub(crate) fn engine(
        folder: &Path,
        prompts: &Prompts,
        limits: critic_local::EngineLimits,
        weights: WeightFormat,
    ) -> Result<LocalEngine> {
        let model = load_folder(folder)?;
        let weight = model.reward_head.ok_or_else(|| {
            Fault::model(anyhow!(
                "{} has no reward head (score.weight): name the folder of a trained reward model",
                folder.display()
            ))
        })?;
        if let Some(manifest) = read_manifest(folder)? {
            if manifest.renderer != model.renderer.digest() {
                return Err(Fault::model(anyhow!(
                    "the tokenizer or the chat template in {} is not the one the model was trained with: restore the folder's files",
                    folder.display()
                )));
            }
            if manifest.prompts != prompts.digest() {
                return Err(Fault::model(anyhow!(
                    "{} was trained with other critique prompts than this program has: train it again, or use the program that trained it",
                    folder.display()
                )));
            }
        }
        let head = RewardHead::new(weight, model.config.d_model)?;
        let decoder = Decoder::new(&model.config, &model.weights, weights)?;
        LocalEngine::new(decoder, Some(head), model.renderer, prompts.clone(), limits)
            .map_err(|error| Fault::config(error.into()))
    }
}

/// Stage 2: Critic-RM and, as a control, the same model as a scalar reward model.
pub(crate) fn run(session: &mut Session, refined: &Refined) -> Result<Vec<TrainedModel>> {
    let settings = session.resolved.settings.train.clone();
    let mut by_pair: HashMap<&str, Vec<CritiqueText>> = HashMap::new();
    for critique in &refined.critiques {
        let text = CritiqueText { side: critique.side, text: critique.text.clone() };
        by_pair.entry(&critique.pair_id).or_default().push(text);
    }
    let pairs = session.train.pairs.clone();
    let with_critiques: Vec<(&PreferencePair, Vec<CritiqueText>)> = pairs
        .iter()
        .map(|pair| (pair, by_pair.get(pair.id.as_str()).cloned().unwrap_or_default()))
        .filter(|(_, critiques)| settings.keep_unfiltered_pairs || !critiques.is_empty())
        .collect();
    session.records.funnel.push(FunnelStep {
        label: "trained on".to_owned(),
        n_pairs: with_critiques.len(),
        n_critiques: Some(with_critiques.iter().map(|(_, critiques)| critiques.len()).sum()),
    });
    let mut trained =
        vec![train(session, "critic-rm", &settings.critic_rm(), &with_critiques, &refined.key)?];
    if session.resolved.settings.baseline.scalar {
        let without: Vec<_> = pairs.iter().map(|pair| (pair, Vec::new())).collect();
        let data = session.train.content.clone();
        trained.push(train(session, "scalar", &settings.scalar(), &without, &data)?);
    }
    Ok(trained)
}

/// Trains one model, or takes it up where it stands.
fn train(
    session: &mut Session,
    name: &'static str,
    config: &TrainConfig,
    pairs: &[(&PreferencePair, Vec<CritiqueText>)],
    data: &ContentId,
) -> Result<TrainedModel> {
    let mut hasher = session.hasher("train");
    hasher
        .text(name)
        .text(data.as_str())
        .text(session.train.content.as_str())
        .text(&serde_json::to_string(config)?);
    hasher.bytes(&(pairs.len() as u64).to_le_bytes());
    let key = hasher.finish();
    let folder = session.folder.checkpoint(name);
    let trained = TrainedModel { name, folder: folder.clone(), key: key.clone() };
    if let Some(manifest) = read_manifest(&folder)?.filter(|manifest| manifest.key == key) {
        let facts = facts(&manifest.records);
        session.records.training.push((name.to_owned(), manifest.records));
        session.finish(&format!("train {name}"), &key, 0.0, false, facts)?;
        return Ok(trained);
    }
    let base = session.base.clone();
    let (context, budget) = (base.config.context_length, config.tokens_per_pack);
    let mut tokens = Vec::with_capacity(pairs.len());
    let mut left_out = Vec::new();
    for built in build_pairs(pairs, &base.renderer, &session.prompts, context, budget) {
        match built {
            Ok(pair) => tokens.push(pair),
            Err(error) if session.resolved.settings.data.strict => return Err(error.into()),
            Err(error) => left_out.push(error.to_string()),
        }
    }
    left_out.iter().take(3).for_each(|reason| say(format!("not trained on: {reason}")));
    if !left_out.is_empty() {
        let note = format!(
            "{} of {} pairs were left out of training {name}: too long or not renderable.",
            left_out.len(),
            pairs.len()
        );
        say(&note);
        session.records.notes.push(note);
    }
    let seed = session.seed().child("train");
    let progress_folder =
        session.folder.path().join("checkpoints").join(format!(".{name}-training"));
    let trainer =
        Trainer::new(config, &tokens, seed, key.clone(), &progress_folder, CHECKPOINT_EVERY)?;
    let device = session.resolved.settings.train.device;
    let trainer = match device.open().map_err(|error| Fault::config(error.into()))? {
        Some(opened) => {
            say(format!("training {name} on {device}, in f32 with activations in f32"));
            trainer.composed_on(opened)?
        }
        None => trainer,
    };
    let mut meter: Option<Meter> = None;
    let mut first_step = None;
    let cancel = session.cancel.clone();
    let n_steps = trainer.n_steps() as u64;
    let metrics = session.folder.path().join(format!("metrics-{name}.jsonl"));
    let ended = trainer.run(
        || TrainableModel::new(&base.config, base.weights.clone(), None, config.precision, &seed),
        &mut |record| {
            first_step.get_or_insert(record.step);
            let meter = meter.get_or_insert_with(|| {
                Meter::new(&format!("training {name}"), n_steps, record.step as u64)
            });
            meter.advance(line(record));
            if cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    )?;
    if let Some(meter) = meter {
        meter.finish();
    }
    let (model, records) = match ended {
        Ended::Finished { model, records } => (model, records),
        Ended::Interrupted { .. } => return Err(session.interrupted()),
    };
    let lines: Vec<String> = records.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    atomic_file::write(&metrics, (lines.join("\n") + "\n").as_bytes())?;
    let (weights, head) = model.into_weights();
    write_hf_folder(&folder, &base.config, &weights, Some(&head), &base.renderer)?;
    let seconds = records.iter().map(|record| record.seconds).sum();
    let facts = facts(&records);
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        key: key.clone(),
        renderer: session.renderer.clone(),
        prompts: session.prompts.digest(),
        base: base.identity.name.clone(),
        records,
    };
    atomic_file::write(&manifest_path(&folder), &serde_json::to_vec_pretty(&manifest)?)?;
    trainer.clear_checkpoints();
    session.records.training.push((name.to_owned(), manifest.records));
    session.finish(
        &format!("train {name}"),
        &key,
        seconds,
        first_step.is_some_and(|step| step > 0),
        facts,
    )?;
    Ok(trained)
}

fn manifest_path(folder: &Path) -> PathBuf {
    folder.join("training.json")
}

fn read_manifest(folder: &Path) -> Result<Option<Manifest>> {
    let path = manifest_path(folder);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    let manifest: Manifest = serde_json::from_str(&text)
        .with_context(|| format!("{} is torn: delete its folder to train again", path.display()))
        .map_err(Fault::store)?;
    if manifest.format_version > FORMAT_VERSION {
        return Err(Fault::store(anyhow!(
            "{} has format version {}, newer than {FORMAT_VERSION}, the newest this build reads: use a newer critic-rm",
            path.display(),
            manifest.format_version
        )));
    }
    Ok(Some(manifest))
}

fn facts(records: &[StepRecord]) -> Vec<(&'static str, String)> {
    let (n_tokens, n_unshared) =
        records.iter().fold((0, 0), |sum, r| (sum.0 + r.n_tokens, sum.1 + r.n_unshared_tokens));
    let seconds: f64 = records.iter().map(|record| record.seconds).sum();
    let mut facts = vec![
        ("steps", records.len().to_string()),
        ("tokens", n_tokens.to_string()),
        ("tokens without sharing", n_unshared.to_string()),
        ("tokens/s", format!("{:.0}", n_tokens as f64 / seconds.max(1e-9))),
    ];
    if let Some(last) = records.last() {
        facts.extend(
            last.preference_loss.map(|loss| ("nats/pair at the end", format!("{loss:.3}"))),
        );
        facts
            .extend(last.critique_loss.map(|loss| ("nats/token at the end", format!("{loss:.3}"))));
    }
    facts
}

/// A step in a few words.
fn line(record: &StepRecord) -> String {
    let mut words = Vec::new();
    words.extend(record.critique_loss.map(|loss| format!("critique {loss:.3}")));
    words.extend(record.preference_loss.map(|loss| format!("preference {loss:.3}")));
    words.extend(record.accuracy.map(|accuracy| format!("accuracy {:.0} %", 100.0 * accuracy)));
    words.push(format!("λ {:.2}", record.critique_weight));
    words.push(format!("{:.0} tokens/s", record.n_tokens as f64 / record.seconds.max(1e-9)));
    words.join("  ")
}
