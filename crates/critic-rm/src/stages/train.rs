use super::session::{Session, Split};
use crate::exit::Fault;
use crate::memory::{self, gigabytes};
use crate::methods::Method;
use crate::metrics::Metrics;
use crate::progress::{Meter, News, say, tell};
use anyhow::{Result, anyhow};
use critic_kernels::Precision;
use critic_model::Weight;
use critic_model::composed::TrainDevice;
use critic_model::sources::{LoadedModel, write_hf_folder, write_peft_folder};
use critic_stats::MarginUse;
use critic_train::{Ended, HeldOut, StepRecord, TrainConfig, TrainableModel, Trainer};
use critic_types::{ContentId, SeedTree, Side};
use data::as_tokens;
use manifest::{Manifest, keep_prompts};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

mod data;
mod manifest;
mod trained_model;

pub(super) use data::TrainingData;
pub(super) use manifest::HeadRecord;
pub(crate) use manifest::{copy_notes, prompts_path};
pub(crate) use trained_model::TrainedModel;

/// How long training goes on between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(120);

/// Stage 2: trains one model from the weights of `start`, or takes it up where it stands.
pub(crate) fn run(
    session: &mut Session,
    method: &Method,
    start: &LoadedModel,
    data: TrainingData,
) -> Result<TrainedModel> {
    if method.reads_critiques() {
        let label = format!("{} is trained on", method.name);
        session.records.funnel(label, data.pairs.len(), Some(data.n_critiques()));
    }
    train(session, method, start, data, Heads::Both)
}

/// What a training leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    /// A reward model.
    Both,
    /// A critic without reward head.
    Language,
}

/// Trains one model, or takes it up where it stands.
pub(super) fn train(
    session: &mut Session,
    method: &Method,
    start: &LoadedModel,
    data: TrainingData,
    heads: Heads,
) -> Result<TrainedModel> {
    let (name, config) = (method.name.as_str(), &method.train);
    check_head(config, start)?;
    let key = address(session, method, start, &data)?;
    let folder = session.folder.checkpoint(name, &key);
    let trained = TrainedModel {
        name: name.to_owned(),
        folder: folder.clone(),
        key: key.clone(),
        reads_critiques: method.reads_critiques(),
    };
    if let Some(manifest) = Manifest::read(&folder)?.filter(|manifest| manifest.key == key) {
        let facts = facts(&manifest.records);
        tell(|| News::Trained { name: name.to_owned(), records: manifest.records.clone() });
        session.records.training.push((name.to_owned(), manifest.records));
        session.finish(&format!("train {name}"), &key, 0.0, false, facts)?;
        return Ok(trained);
    }
    let drawn = config.critiques_per_response;
    let max_pair_tokens = session.resolved.settings.train.max_pair_tokens.get();
    let tokens = as_tokens(session, start, name, &data.pairs, drawn, max_pair_tokens)?;
    let held_out = held_out(session, config, start)?;
    let own_seed = session.resolved.settings.train.seed;
    let seed = own_seed.map_or_else(|| session.seed(), SeedTree::new).child("train");
    let progress_folder =
        session.folder.path().join("checkpoints").join(format!(".{name}-training"));
    let trainer =
        Trainer::new(config, &tokens, seed, key.clone(), &progress_folder, CHECKPOINT_EVERY)?
            .with_held_out(&held_out);
    let device = session.resolved.settings.train.device;
    let trainer = match device.open().map_err(|error| Fault::config(error.into()))? {
        Some(opened) => {
            say(format!("training {name} on {device}, in f32 with activations in f32"));
            trainer.composed_on(opened)?
        }
        None => trainer,
    };
    check_memory(session, method, &trainer, start)?;
    let mut meter: Option<Meter> = None;
    let mut first_step = None;
    let cancel = session.cancel.clone();
    let n_steps = trainer.n_steps() as u64;
    let mut metrics: Option<Metrics> = None;
    let mut logged = Ok(());
    let ended = trainer.run(
        || {
            let draw = || config.reward_head.draw(start.config.d_model, &seed);
            let head = start.reward_head.clone().unwrap_or_else(draw);
            TrainableModel::new(&start.config, start.weights.clone(), head, config.precision)
        },
        &mut |record| {
            first_step.get_or_insert(record.step);
            let meter = meter.get_or_insert_with(|| {
                Meter::new(&format!("training {name}"), n_steps, record.step as u64)
            });
            meter.advance(line(record));
            tell(|| News::stepped(session.folder.path(), name, n_steps, record));
            logged = log(&mut metrics, session.folder.path(), name, record);
            if cancel.is_set() || logged.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )?;
    if let Some(meter) = meter {
        meter.finish();
    }
    logged?;
    let (model, records) = match ended {
        Ended::Finished { model, records } => (model, records),
        Ended::Interrupted { .. } => return Err(session.interrupted()),
    };
    let (adapter, base) = (folder.join("adapter"), &start.identity.name);
    if config.lora.is_none() && adapter.exists() {
        // Of an earlier training into the same folder.
        std::fs::remove_dir_all(&adapter).map_err(|error| Fault::store(error.into()))?;
    }
    write_peft_folder(&adapter, model.parameters(), base, heads == Heads::Both)?;
    let (weights, head) = model.into_weights();
    // A critic keeps the head that it came with, which its training does not reach.
    let head = (heads == Heads::Both || start.reward_head.is_some()).then_some(head);
    write_hf_folder(&folder, &start.config, &weights, head.as_ref(), &start.renderer)?;
    keep_prompts(&folder, session.prompts.sources())?;
    let manifest = Manifest::of(&trained, session, base, config.precision, head.as_ref(), records);
    manifest.write(&folder)?;
    trainer.clear_checkpoints();
    let (facts, seconds) = (facts(&manifest.records), seconds(&manifest.records));
    session.records.training.push((name.to_owned(), manifest.records));
    let went_on = first_step.is_some_and(|step| step > 0);
    session.finish(&format!("train {name}"), &key, seconds, went_on, facts)?;
    Ok(trained)
}

/// The address of the model that `method` makes of `data`: the digest of everything that it depends on.
fn address(
    session: &Session,
    method: &Method,
    start: &LoadedModel,
    data: &TrainingData,
) -> Result<ContentId> {
    let (settings, config) = (&session.resolved.settings.train, &method.train);
    let mut hasher = session.hasher("train", start);
    hasher.text(&method.name).text(&method.addressed()?);
    data.keys.iter().for_each(|key| {
        hasher.text(key.as_str());
    });
    hasher.bytes(&(data.pairs.len() as u64).to_le_bytes());
    let max_pair_tokens = settings.max_pair_tokens.get() as u64;
    hasher.text("max_pair_tokens").bytes(&max_pair_tokens.to_le_bytes());
    if config.preference.margin != MarginUse::Ignore {
        data.pairs.iter().for_each(|(pair, _)| {
            hasher.bytes(&pair.margin.map_or(u64::MAX, f64::to_bits).to_le_bytes());
        });
    }
    for (name, set) in looked_at(session, config) {
        hasher.text(name).text(set.content.as_str());
        set.critiques.iter().for_each(|critique| {
            hasher.text(&critique.pair_id).text(&critique.text);
            hasher.text(critique.side.map_or("", Side::as_str));
        });
    }
    if let Some(seed) = settings.seed {
        hasher.text("seed").bytes(&seed.to_le_bytes());
    }
    Ok(hasher.finish())
}

/// The sets of pairs that training looks at now and then, by their names.
fn looked_at<'a>(session: &'a Session, config: &TrainConfig) -> &'a [(String, Split)] {
    if config.evaluation.every > 0 { &session.dev } else { &[] }
}

/// The same sets as tokens.
fn held_out(
    session: &mut Session,
    config: &TrainConfig,
    start: &LoadedModel,
) -> Result<Vec<HeldOut>> {
    let with_critiques = |(name, set): &(String, Split)| {
        (name.clone(), TrainingData::with_own_critiques(&set.pairs, &set.critiques))
    };
    let sets: Vec<_> = looked_at(session, config).iter().map(with_critiques).collect();
    let mut held_out = Vec::with_capacity(sets.len());
    for (name, all) in sets {
        let what = format!("`{name}` of data.dev");
        let pairs = as_tokens(session, start, &what, &all, 0, usize::MAX)?;
        if pairs.is_empty() {
            return Err(Fault::data(anyhow!(
                "none of the {} pairs of {what} is left to look at: name others, or set train.evaluation.every to 0",
                all.len()
            )));
        }
        held_out.push(HeldOut { name, pairs });
    }
    Ok(held_out)
}

/// Refuses to train another head than the one that the model has, if it has one.
pub(super) fn check_head(config: &TrainConfig, start: &LoadedModel) -> Result<()> {
    let checked = start.reward_head.as_ref().map(|head| config.reward_head.check_start(head));
    checked.transpose().map_err(|error| Fault::config(error.into()))?;
    Ok(())
}

/// Says what the training will hold in memory, and refuses one that the machine cannot hold.
fn check_memory(
    session: &Session,
    method: &Method,
    trainer: &Trainer<'_>,
    start: &LoadedModel,
) -> Result<()> {
    let settings = &session.resolved.settings.train;
    if settings.device != TrainDevice::Cpu {
        return Ok(());
    }
    let (bytes, head) = (start.decoder_bytes(), start.reward_head.as_ref());
    let found = trainer.memory(&start.config, bytes, head)?;
    let available = memory::available();
    say(format!(
        "training {} in {} holds about {} of memory: {}weights {}, gradients {}, moments {}, activations {}, logits {}{}",
        method.name,
        match method.train.precision {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        },
        gigabytes(found.total()),
        match found.base {
            0 => String::new(),
            base => format!("frozen base {} ({}), ", gigabytes(base), kinds(&start.weights)),
        },
        gigabytes(found.weights),
        gigabytes(found.gradients),
        gigabytes(found.moments),
        gigabytes(found.activations),
        gigabytes(found.logits),
        available.map_or_else(String::new, |bytes| format!("; {} are free", gigabytes(bytes))),
    ));
    memory::refuse_too_large(&method.name, &found, available, settings)
}

/// How many matrices are held in each kind of numbers, by the kind's name in GGUF.
fn kinds(weights: &BTreeMap<String, Weight>) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for weight in weights.values().filter(|weight| weight.shape().len() == 2) {
        let kind = weight.blocks().map_or("F32", |blocks| blocks.format().name());
        *kinds.entry(kind).or_default() += 1;
    }
    let told: Vec<String> = kinds.into_iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    told.join(", ")
}

/// Adds a step to the metrics, which are opened at the first one of this sitting.
fn log(
    metrics: &mut Option<Metrics>,
    folder: &Path,
    name: &str,
    record: &StepRecord,
) -> Result<()> {
    let open = match metrics.take() {
        Some(open) => open,
        None => Metrics::open(folder, name, record.step)?,
    };
    metrics.insert(open).add(record)
}

fn facts(records: &[StepRecord]) -> Vec<(&'static str, String)> {
    let (n_tokens, n_unshared) =
        records.iter().fold((0, 0), |sum, r| (sum.0 + r.n_tokens, sum.1 + r.n_unshared_tokens));
    let mut facts = vec![
        ("steps", records.len().to_string()),
        ("tokens", n_tokens.to_string()),
        ("tokens without sharing", n_unshared.to_string()),
        ("tokens/s", format!("{:.0}", n_tokens as f64 / seconds(records).max(1e-9))),
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

/// How long the steps took, those of earlier sittings included.
fn seconds(records: &[StepRecord]) -> f64 {
    records.iter().map(|record| record.seconds).sum()
}

/// A step in a few words.
fn line(record: &StepRecord) -> String {
    let mut words = Vec::new();
    words.extend(record.critique_loss.map(|loss| format!("critique {loss:.3}")));
    words.extend(record.preference_loss.map(|loss| format!("preference {loss:.3}")));
    words.extend(record.accuracy.map(|accuracy| format!("accuracy {:.0} %", 100.0 * accuracy)));
    for held_out in &record.evaluations {
        let share = held_out.accuracy.map(|accuracy| format!("{:.0} %", 100.0 * accuracy));
        words.push(format!("{} {}", held_out.set, share.unwrap_or_default()));
    }
    words.push(format!("λ {:.2}", record.critique_weight));
    words.push(format!("{:.0} tokens/s", record.n_tokens as f64 / record.seconds.max(1e-9)));
    words.join("  ")
}
