use super::refine::Refined;
use super::session::Session;
use crate::exit::Fault;
use crate::memory::{self, gigabytes};
use crate::methods::Method;
use crate::metrics::Metrics;
use crate::progress::{Meter, News, say, tell};
use anyhow::{Context, Result, anyhow};
use critic_local::LocalEngine;
use critic_model::composed::TrainDevice;
use critic_model::sources::{LoadedModel, write_hf_folder, write_peft_folder};
use critic_model::{Decoder, HeadLayout, RewardHead, Weight, WeightFormat, known_reward_heads};
use critic_stats::MarginUse;
use critic_text::{PromptSources, Prompts};
use critic_train::{
    CritiqueText, Ended, HeldOut, StepRecord, TrainConfig, TrainPair, TrainableModel, Trainer,
    build_pairs,
};
use critic_types::{ContentId, OracleCritique, PreferencePair, SeedTree, Side, atomic_file};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
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
    /// Its reward head; absent for a critic without one, and where it was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reward_head: Option<HeadRecord>,
    /// Whether rewards are read after critiques too; noted only where they are not.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    reads_critiques: bool,
    records: Vec<StepRecord>,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_true(flag: &bool) -> bool {
    *flag
}

/// The reward head of a training, as it is noted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HeadRecord {
    pub(super) kind: String,
    d_model: usize,
    /// Numbers of its hidden layer.
    width: usize,
}

impl HeadRecord {
    fn of(head: &RewardHead) -> Self {
        let (kind, d_model, width) = (head.layout().kind.to_owned(), head.d_model(), head.width());
        Self { kind, d_model, width }
    }

    /// Lines of Python that put it on a sequence classifier of transformers.
    pub(super) fn in_pytorch(&self) -> String {
        let layout = HeadLayout::of_kind(&self.kind);
        layout.map_or_else(String::new, |layout| layout.in_pytorch(self.d_model, self.width))
    }
}

impl std::fmt::Display for HeadRecord {
    /// Its kind and the names of its tensors.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names =
            HeadLayout::of_kind(&self.kind).map(|layout| layout.names().collect::<Vec<_>>());
        write!(f, "{}: {}", self.kind, names.unwrap_or_default().join(", "))
    }
}

/// A reward model of this run.
#[derive(Debug, Clone)]
pub(crate) struct TrainedModel {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) key: ContentId,
    /// Whether rewards are read after critiques too.
    pub(crate) reads_critiques: bool,
}

impl TrainedModel {
    /// Its reward head, where that was noted.
    pub(super) fn head(&self) -> Result<Option<HeadRecord>> {
        Ok(read_manifest(&self.folder)?.and_then(|manifest| manifest.reward_head))
    }

    /// Whether the model in `folder` reads rewards after critiques too; of one that was trained elsewhere
    /// that is taken to be so.
    pub(crate) fn reads_critiques(folder: &Path) -> Result<bool> {
        Ok(read_manifest(folder)?.is_none_or(|manifest| manifest.reads_critiques))
    }

    /// The prompts that the model in `folder` was trained with.
    pub(crate) fn prompts(folder: &Path) -> Result<Prompts> {
        let path = prompts_path(folder);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Prompts::builtin()) };
        let sources: PromptSources = serde_json::from_str(&text)
            .with_context(|| format!("{} is torn: restore it", path.display()))
            .map_err(Fault::store)?;
        let prompts = Prompts::new(sources)?;
        if prompts.shows_reference() {
            return Err(Fault::model(anyhow!(
                "{} was trained with a critique prompt that shows a reference answer, which only the pairs of its run have: score the run's own pairs",
                folder.display()
            )));
        }
        Ok(prompts)
    }

    /// The model in `folder` (or a `.gguf` file that holds a reward head), as it was read for `weights`, as a
    /// scorer.
    pub(crate) fn engine(
        model: LoadedModel,
        folder: &Path,
        prompts: &Prompts,
        limits: critic_local::EngineLimits,
        weights: WeightFormat,
    ) -> Result<LocalEngine> {
        let head = model.reward_head.ok_or_else(|| {
            Fault::model(anyhow!(
                "{} has no reward head (one is read of {}): name a trained reward model",
                folder.display(),
                known_reward_heads()
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
        let decoder = Decoder::new(&model.config, &model.weights, weights)?;
        LocalEngine::new(decoder, Some(head), model.renderer, prompts.clone(), limits)
            .map_err(|error| Fault::config(error.into()))
    }
}

/// The pairs of a training with their critiques.
#[derive(Debug, Default)]
pub(crate) struct TrainingData {
    pub(crate) pairs: Vec<(PreferencePair, Vec<CritiqueText>)>,
    /// Addresses of what they depend on besides the model.
    pub(crate) keys: Vec<ContentId>,
}

impl TrainingData {
    /// The pairs of the run, with these critiques if there are any.
    pub(crate) fn of_pairs(session: &Session, critiques: Option<&Refined>) -> Self {
        let mut by_pair: HashMap<&str, Vec<CritiqueText>> = HashMap::new();
        for critique in critiques.into_iter().flat_map(|refined| &refined.critiques) {
            let text = CritiqueText { side: critique.side, text: critique.text.clone() };
            by_pair.entry(&critique.pair_id).or_default().push(text);
        }
        let keeps_all =
            critiques.is_none() || session.resolved.settings.train.keep_unfiltered_pairs;
        let pairs = session
            .train
            .pairs
            .iter()
            .map(|pair| (pair.clone(), by_pair.remove(pair.id.as_str()).unwrap_or_default()))
            .filter(|(_, critiques)| keeps_all || !critiques.is_empty())
            .collect();
        let mut keys = vec![session.train.content.clone()];
        keys.extend(critiques.map(|refined| refined.key.clone()));
        Self { pairs, keys }
    }

    /// Pairs with the critiques that came with them, those that have none included.
    pub(super) fn with_own_critiques(
        pairs: &[PreferencePair],
        critiques: &[OracleCritique],
    ) -> Vec<(PreferencePair, Vec<CritiqueText>)> {
        let mut by_pair: HashMap<&str, Vec<CritiqueText>> = HashMap::new();
        for critique in critiques {
            let Some(side) = critique.side else { continue };
            let text = CritiqueText { side, text: critique.text.clone() };
            by_pair.entry(&critique.pair_id).or_default().push(text);
        }
        let with = |pair: &PreferencePair| {
            (pair.clone(), by_pair.remove(pair.id.as_str()).unwrap_or_default())
        };
        pairs.iter().map(with).collect()
    }

    fn n_critiques(&self) -> usize {
        self.pairs.iter().map(|(_, critiques)| critiques.len()).sum()
    }
}

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
    let mut hasher = session.hasher("train", start);
    hasher.text(name).text(&serde_json::to_string(config)?);
    data.keys.iter().for_each(|key| {
        hasher.text(key.as_str());
    });
    let max_pair_tokens = session.resolved.settings.train.max_pair_tokens.get();
    hasher.bytes(&(data.pairs.len() as u64).to_le_bytes());
    hasher.text("max_pair_tokens").bytes(&(max_pair_tokens as u64).to_le_bytes());
    if config.preference.margin != MarginUse::Ignore {
        data.pairs.iter().for_each(|(pair, _)| {
            hasher.bytes(&pair.margin.map_or(u64::MAX, f64::to_bits).to_le_bytes());
        });
    }
    let looked_at = if config.evaluation.every > 0 { session.dev.as_slice() } else { &[] };
    for (name, set) in looked_at {
        hasher.text(name).text(set.content.as_str());
        set.critiques.iter().for_each(|critique| {
            hasher.text(&critique.pair_id).text(&critique.text);
            hasher.text(critique.side.map_or("", Side::as_str));
        });
    }
    let looked_at: Vec<_> = looked_at
        .iter()
        .map(|(name, set)| {
            (name.clone(), TrainingData::with_own_critiques(&set.pairs, &set.critiques))
        })
        .collect();
    let own_seed = session.resolved.settings.train.seed;
    if let Some(seed) = own_seed {
        hasher.text("seed").bytes(&seed.to_le_bytes());
    }
    let key = hasher.finish();
    let folder = session.folder.checkpoint(name, &key);
    let trained = TrainedModel {
        name: name.to_owned(),
        folder: folder.clone(),
        key: key.clone(),
        reads_critiques: method.reads_critiques(),
    };
    if let Some(manifest) = read_manifest(&folder)?.filter(|manifest| manifest.key == key) {
        let facts = facts(&manifest.records);
        tell(|| News::Trained { name: name.to_owned(), records: manifest.records.clone() });
        session.records.training.push((name.to_owned(), manifest.records));
        session.finish(&format!("train {name}"), &key, 0.0, false, facts)?;
        return Ok(trained);
    }
    let drawn = config.critiques_per_response;
    let tokens = as_tokens(session, start, name, &data.pairs, drawn, max_pair_tokens)?;
    let mut held_out = Vec::new();
    for (name, all) in looked_at {
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
    check_memory(session, name, &trainer, start)?;
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
    let seconds = records.iter().map(|record| record.seconds).sum();
    let facts = facts(&records);
    keep_prompts(&folder, session.prompts.sources())?;
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        key: key.clone(),
        renderer: session.renderer.clone(),
        prompts: session.prompts.digest(),
        base: start.identity.name.clone(),
        reward_head: head.as_ref().map(HeadRecord::of),
        reads_critiques: method.reads_critiques(),
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

/// Refuses to train another head than the one that the model has, if it has one.
pub(super) fn check_head(config: &TrainConfig, start: &LoadedModel) -> Result<()> {
    let checked = start.reward_head.as_ref().map(|head| config.reward_head.check_start(head));
    checked.transpose().map_err(|error| Fault::config(error.into()))?;
    Ok(())
}

/// Says what the training will hold in memory, and refuses one that the machine cannot hold.
fn check_memory(
    session: &Session,
    name: &str,
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
        "training {name} holds about {} of memory: {}weights {}, gradients {}, moments {}, activations {}, logits {}{}",
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
    memory::refuse_too_large(name, &found, available, settings)
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

/// Pairs as tokens; those that cannot be rendered or do not fit are told and left out.
fn as_tokens(
    session: &mut Session,
    model: &LoadedModel,
    name: &str,
    pairs: &[(PreferencePair, Vec<CritiqueText>)],
    critiques_per_response: usize,
    max_pair_tokens: usize,
) -> Result<Vec<TrainPair>> {
    let pairs: Vec<(&PreferencePair, Vec<CritiqueText>)> =
        pairs.iter().map(|(pair, critiques)| (pair, critiques.clone())).collect();
    let context = model.config.context_length;
    let mut tokens = Vec::with_capacity(pairs.len());
    let mut left_out = Vec::new();
    let built = build_pairs(
        &pairs,
        &model.renderer,
        &session.prompts,
        context,
        critiques_per_response,
        max_pair_tokens,
    );
    for built in built {
        match built {
            Ok(pair) => tokens.push(pair),
            Err(error) if session.resolved.settings.data.strict => return Err(error.into()),
            Err(error) => left_out.push(error.to_string()),
        }
    }
    left_out.iter().take(3).for_each(|reason| say(format!("left out of {name}: {reason}")));
    if !left_out.is_empty() {
        let note = format!(
            "{} of {} pairs were left out of {name}: too long or not renderable.",
            left_out.len(),
            pairs.len()
        );
        say(&note);
        session.records.notes.push(note);
    }
    Ok(tokens)
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

fn manifest_path(folder: &Path) -> PathBuf {
    folder.join("training.json")
}

/// Where a model says which prompts it was trained with, where they are not the built-in ones.
pub(crate) fn prompts_path(folder: &Path) -> PathBuf {
    folder.join("prompts.json")
}

/// Lets a model with prompts of its own say which.
fn keep_prompts(folder: &Path, sources: &PromptSources) -> Result<()> {
    let path = prompts_path(folder);
    if *sources != PromptSources::builtin() {
        atomic_file::write(&path, &serde_json::to_vec_pretty(sources)?)?;
    } else if path.exists() {
        // Of an earlier training into the same folder.
        std::fs::remove_file(&path).map_err(|error| Fault::store(error.into()))?;
    }
    Ok(())
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
    for held_out in &record.evaluations {
        let share = held_out.accuracy.map(|accuracy| format!("{:.0} %", 100.0 * accuracy));
        words.push(format!("{} {}", held_out.set, share.unwrap_or_default()));
    }
    words.push(format!("λ {:.2}", record.critique_weight));
    words.push(format!("{:.0} tokens/s", record.n_tokens as f64 / record.seconds.max(1e-9)));
    words.join("  ")
}
