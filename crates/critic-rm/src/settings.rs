//! The settings of a run: built-in defaults, then the run file, then flags, each key with its origin.

mod critic;
mod dev_sets;
mod layers;
mod prompts;

pub(crate) use critic::CriticSettings;
pub(crate) use dev_sets::{DevSet, DevSets};
pub(crate) use layers::merge_tables;
pub(crate) use prompts::PromptSettings;

use crate::exit::Fault;
use crate::methods::Method;
use crate::stages::GivenCritiques;
use anyhow::{Context, Result};
use critic_engine::Sampling;
use critic_kernels::Precision;
use critic_local::EngineLimits;
use critic_method::{FilterSettings, Refinement};
use critic_model::WeightFormat;
use critic_model::backprop::{Activations, LoraConfig};
use critic_model::composed::TrainDevice;
use critic_stats::PreferenceLoss;
use critic_train::{
    CritiqueWeight, EvaluationConfig, JointForm, LearningRate, RewardHeadConfig, TrainConfig,
};
use layers::{flatten, mark, merge, nested, parse_value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The built-in defaults: the recipe of `critic-rm run` without arguments.
const DEFAULTS: &str = include_str!("../../../recipes/default.toml");

/// Every setting of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Catalogue name, hub id, folder or `.gguf` file.
    pub(crate) model: String,
    /// Root of every random draw.
    pub(crate) seed: u64,
    /// The reward models that are trained and compared: names of methods or files.
    pub(crate) methods: Vec<String>,
    pub(crate) data: DataSettings,
    pub(crate) engine: EngineSettings,
    pub(crate) critic: CriticSettings,
    pub(crate) prompts: PromptSettings,
    pub(crate) warmup: WarmupSettings,
    pub(crate) rounds: RoundSettings,
    pub(crate) critique: CritiqueSettings,
    pub(crate) filter: FilterSettings,
    pub(crate) refine: Refinement,
    pub(crate) train: TrainSettings,
    pub(crate) score: ScoreSettings,
}

/// Where pairs come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSettings {
    /// Pairs to train on.
    pub(crate) train: PathBuf,
    /// Pairs held out.
    pub(crate) eval: PathBuf,
    /// Pairs that training looks at, apart from both.
    pub(crate) dev: DevSets,
    /// How many of them; 0 takes all.
    pub(crate) train_limit: usize,
    /// The share of them that is trained on, the first ones; above 0 and at most 1.
    pub(crate) train_share: f64,
    /// Domains that are not trained on.
    pub(crate) held_out_domains: Vec<String>,
    /// How many of them; 0 takes all.
    pub(crate) eval_limit: usize,
    /// Whether a row that cannot be used is an error.
    pub(crate) strict: bool,
    /// What becomes of critiques that come with the training pairs.
    pub(crate) critiques: GivenCritiques,
}

/// Stage 0: the critic learns from critiques that are known to be right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WarmupSettings {
    /// Pairs with critiques; empty leaves the stage out.
    pub(crate) data: PathBuf,
    /// How many of them; 0 takes all.
    pub(crate) limit: usize,
    /// Passes over them.
    pub(crate) epochs: usize,
    /// Peak rate of the decoder.
    pub(crate) learning_rate: f64,
    /// Held-out pairs on which the critic is measured before and after; 0 leaves that out.
    pub(crate) measure_pairs: usize,
}

/// How often critiques are written and trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoundSettings {
    /// Rounds of generation, filter, refinement and training, each with the model of the one before.
    pub(crate) n: usize,
    /// Whose weights a later round trains.
    pub(crate) train_from: RoundStart,
}

/// Whose weights a later round trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoundStart {
    /// Those that the first round started from.
    Base,
    /// Those of the round before.
    Previous,
}

/// How candidates are sampled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CritiqueSettings {
    /// N.
    pub(crate) n_candidates: usize,
    /// Whether the critic is told which response is preferred.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) label_conditioned: bool,
    pub(crate) temperature: f64,
    pub(crate) top_p: f64,
    pub(crate) top_k: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) min_p: f64,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) repetition_penalty: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stop: Vec<String>,
    pub(crate) max_new_tokens: usize,
}

/// The local engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EngineSettings {
    /// How matrices are held while text is written and rewards are read.
    pub(crate) weights: WeightFormat,
    max_leaves: usize,
    prefill_tokens: usize,
    kv_tokens: usize,
}

impl EngineSettings {
    /// How much is under way at once.
    pub(crate) fn limits(&self) -> EngineLimits {
        let &Self { weights: _, max_leaves, prefill_tokens, kv_tokens } = self;
        EngineLimits { max_leaves, prefill_tokens, kv_tokens }
    }
}

/// What the operands of training's products are rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionSetting {
    /// bf16 where the processor multiplies it and the decoder is trained, else f32.
    Auto,
    /// f32 everywhere.
    F32,
    /// bf16 everywhere, emulated where it must be.
    Bf16,
}

impl PrecisionSetting {
    pub(crate) fn resolved(self) -> Precision {
        match self {
            Self::Auto => Precision::auto(),
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }
}

/// Stage 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainSettings {
    epochs: usize,
    pairs_per_step: usize,
    tokens_per_pack: usize,
    /// The most distinct tokens of a pair that is trained on.
    pub(crate) max_pair_tokens: NonZeroUsize,
    /// Where the model is trained; changes no result but by rounding, so a run may go on elsewhere.
    pub(crate) device: TrainDevice,
    pub(crate) precision: PrecisionSetting,
    activations: Activations,
    learning_rate: LearningRate,
    reward_head_learning_rate: f64,
    head_warmup_steps: usize,
    reward_head: RewardHeadConfig,
    weight_decay: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    max_grad_norm: f64,
    joint: JointForm,
    critique_weight: CritiqueWeight,
    preference: PreferenceLoss,
    critiques_per_response: usize,
    critique_dropout: f64,
    evaluation: EvaluationConfig,
    keep_checkpoints: usize,
    /// Adapters that are trained in place of the decoder; absent, everything is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lora: Option<LoraConfig>,
    /// Root of training's own draws in place of the run's: first reward head, order, which critiques.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// Whether a training that the machine's memory cannot hold is refused.
    pub(crate) check_memory: bool,
    /// Whether pairs that the filter drops are trained on without critique.
    pub(crate) keep_unfiltered_pairs: bool,
}

impl TrainSettings {
    /// The trainer's configuration.
    pub(crate) fn config(&self) -> TrainConfig {
        TrainConfig {
            epochs: self.epochs,
            pairs_per_step: self.pairs_per_step,
            tokens_per_pack: self.tokens_per_pack,
            precision: self.precision(),
            activations: self.activations,
            learning_rate: self.learning_rate,
            reward_head_learning_rate: self.reward_head_learning_rate,
            weight_decay: self.weight_decay,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            max_grad_norm: self.max_grad_norm,
            joint: self.joint,
            critique_weight: self.critique_weight,
            preference: self.preference,
            critiques_per_response: self.critiques_per_response,
            critique_dropout: self.critique_dropout,
            evaluation: self.evaluation,
            keep_checkpoints: self.keep_checkpoints,
            lora: self.lora.clone(),
            head_warmup_steps: self.head_warmup_steps,
            reward_head: self.reward_head,
        }
    }

    /// Other devices than the CPU have f32 alone; a frozen decoder in bf16 is held a second time.
    fn precision(&self) -> Precision {
        let is_frozen = self.lora.is_some();
        match self.precision {
            PrecisionSetting::Auto if is_frozen || self.device != TrainDevice::Cpu => {
                Precision::F32
            }
            precision => precision.resolved(),
        }
    }

    /// The trainer's configuration of the critic's warm-up: critiques alone, all of them.
    pub(crate) fn warmup(&self, warmup: &WarmupSettings) -> TrainConfig {
        let learning_rate = LearningRate { peak: warmup.learning_rate, ..self.learning_rate };
        TrainConfig {
            epochs: warmup.epochs,
            learning_rate,
            joint: JointForm::Convex,
            critique_weight: CritiqueWeight::Constant { weight: 1.0 },
            critiques_per_response: 0,
            preference: PreferenceLoss::default(),
            critique_dropout: 0.0,
            evaluation: EvaluationConfig::default(),
            head_warmup_steps: 0,
            reward_head: RewardHeadConfig::default(),
            ..self.config()
        }
    }
}

/// Inference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScoreSettings {
    /// m.
    pub(crate) n_critiques: usize,
    pub(crate) temperature: f64,
    pub(crate) top_p: f64,
    pub(crate) top_k: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) min_p: f64,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) repetition_penalty: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stop: Vec<String>,
    pub(crate) max_new_tokens: usize,
}

impl CritiqueSettings {
    pub(crate) fn sampling(&self) -> Sampling {
        let &Self { temperature, top_p, top_k, min_p, repetition_penalty, max_new_tokens, .. } =
            self;
        let stop = self.stop.clone();
        Sampling { temperature, top_p, top_k, min_p, repetition_penalty, max_new_tokens, stop }
    }
}

impl ScoreSettings {
    pub(crate) fn sampling(&self) -> Sampling {
        let &Self { temperature, top_p, top_k, min_p, repetition_penalty, max_new_tokens, .. } =
            self;
        let stop = self.stop.clone();
        Sampling { temperature, top_p, top_k, min_p, repetition_penalty, max_new_tokens, stop }
    }
}

// Neutral settings are not written, so that the addresses of stored results stay what they were.

fn one() -> f64 {
    1.0
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

/// What the command line says about settings.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    /// (key, value) from named flags.
    pub(crate) flags: Vec<(&'static str, Value)>,
    /// `key=value` from `--set`.
    pub(crate) set: Vec<String>,
}

/// Settings with the origin of every key.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) settings: Settings,
    /// Dotted key → (value, origin), in the order of the file.
    pub(crate) values: Vec<(String, String, String)>,
}

/// A run of a study: what stands below and above what the person says.
#[derive(Debug, Default)]
pub(crate) struct StudyLayers {
    /// Over the defaults.
    pub(crate) base: Table,
    /// Over everything: keys and values.
    pub(crate) point: Vec<(String, Value)>,
}

/// Resolves defaults, run file and flags.
pub(crate) fn resolve(run_file: Option<&Path>, overrides: &Overrides) -> Result<Resolved> {
    resolve_in_study(&StudyLayers::default(), run_file, overrides)
}

/// Resolves defaults, a study's base, run file, flags, and the study's values.
pub(crate) fn resolve_in_study(
    study: &StudyLayers,
    run_file: Option<&Path>,
    overrides: &Overrides,
) -> Result<Resolved> {
    let mut table: Table = DEFAULTS.parse().context("the built-in defaults do not parse")?;
    let (mut origins, mut unsaid) = (BTreeMap::new(), BTreeMap::new());
    mark(&table, "", "default", &mut origins);
    merge(&mut table, &study.base, "", "study", &mut origins);
    if let Some(path) = run_file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read the run file {}", path.display()))
            .map_err(Fault::config)?;
        let layer: Table = text
            .parse()
            .with_context(|| format!("the run file {} is not TOML", path.display()))
            .map_err(Fault::config)?;
        merge(&mut table, &layer, "", &path.display().to_string(), &mut origins);
    }
    for (key, value) in &overrides.flags {
        merge(&mut table, &nested(key, value.clone()), "", "flag", &mut origins);
    }
    for assignment in &overrides.set {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(Fault::config(anyhow::anyhow!(
                "--set {assignment}: write key=value, for example --set critique.n_candidates=8"
            )));
        };
        merge(&mut table, &nested(key.trim(), parse_value(text.trim())), "", "--set", &mut origins);
    }
    for (key, value) in &study.point {
        merge(&mut table, &nested(key, value.clone()), "", "study", &mut origins);
    }
    let mut remote = critic::defaults(table.get("critic"));
    mark(&remote, "critic", "default of a remote critic", &mut unsaid);
    if let Some(Value::Table(said)) = table.get_mut("critic") {
        remote.retain(|key, _| !said.contains_key(key));
        said.extend(remote);
    }
    unsaid.extend(origins);
    let origins = unsaid;
    let settings = serde_path_to_error::deserialize(table.clone())
        .map_err(|error| Fault::config(explain(&error, &origins)))?;
    check(&settings)?;
    let mut values = Vec::new();
    flatten(&table, "", &origins, &mut values);
    Ok(Resolved { settings, values })
}

/// Which key is wrong, who gave it, and what it must be.
fn explain(
    error: &serde_path_to_error::Error<toml::de::Error>,
    origins: &BTreeMap<String, String>,
) -> anyhow::Error {
    let key = error.path().to_string();
    let origin = origins.get(&key).map_or_else(String::new, |origin| format!(" ({origin})"));
    let place = if key == "." { String::new() } else { format!("{key}{origin}: ") };
    anyhow::anyhow!(
        "settings: {place}{}; `critic-rm run --explain` lists every key",
        error.inner().message()
    )
}

/// Ranges that serde does not know.
fn check(settings: &Settings) -> Result<()> {
    let config = |error: anyhow::Error| Fault::config(error);
    settings.critique.sampling().validate().context("[critique]").map_err(config)?;
    settings.score.sampling().validate().context("[score]").map_err(config)?;
    settings.train.config().validate().map_err(|error| config(error.into()))?;
    settings
        .train
        .warmup(&settings.warmup)
        .validate()
        .map_err(|error| config(anyhow::Error::from(error).context("[warmup]")))?;
    settings.critic.check()?;
    let device = settings.train.device;
    for method in Method::resolve_all(&settings.methods, &settings.train)? {
        if device != TrainDevice::Cpu {
            method.train.check_composed().map_err(|error| config(error.into()))?;
        }
    }
    device.check_built().context("train.device").map_err(config)?;
    if settings.methods.is_empty() {
        return Err(config(anyhow::anyhow!(
            "methods is empty; name at least one, such as methods=[\"critic-rm\"]"
        )));
    }
    let dev = settings.data.dev.sets().map_err(|rule| config(anyhow::anyhow!(rule)))?;
    if settings.train.evaluation.every > 0 && dev.is_empty() {
        return Err(config(anyhow::anyhow!(
            "train.evaluation.every is {} and data.dev is empty; name pairs that are neither trained on nor held out, or set it to 0",
            settings.train.evaluation.every
        )));
    }
    let share = settings.data.train_share;
    if !(share > 0.0 && share <= 1.0) {
        return Err(config(anyhow::anyhow!(
            "data.train_share is {share}; a share is above 0 and at most 1"
        )));
    }
    if settings.rounds.n == 0 {
        return Err(config(anyhow::anyhow!("rounds.n is 0; at least one round is needed")));
    }
    if settings.critique.label_conditioned
        && matches!(settings.refine, Refinement::Summarize { .. })
    {
        return Err(config(anyhow::anyhow!(
            "critique.label_conditioned is set and refine.kind is summarize: a summary would not say that its sources knew the label; use rank or none"
        )));
    }
    if settings.critique.n_candidates == 0 && settings.data.critiques == GivenCritiques::Ignore {
        return Err(config(anyhow::anyhow!(
            "critique.n_candidates is 0; at least one candidate is needed, or critiques that come with the pairs (data.critiques = \"keep\" or \"filter\")"
        )));
    }
    if settings.critique.n_candidates == 0 && settings.rounds.n > 1 {
        return Err(config(anyhow::anyhow!(
            "critique.n_candidates is 0 and rounds.n is {}: every round would learn from the same critiques",
            settings.rounds.n
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
