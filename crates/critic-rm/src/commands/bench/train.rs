use super::args::TrainArgs;
use super::flops::{Counts, training_flops};
use super::machine::Machine;
use super::memory;
use super::products::peak_flops;
use super::work::{Work, as_tokens, fetch_model, settings};
use crate::exit::Fault;
use crate::methods::Method;
use anyhow::{Result, anyhow};
use critic_kernels::Precision;
use critic_model::composed::TrainDevice;
use critic_model::config::DecoderConfig;
use critic_model::sources::Fetched;
use critic_train::{Ended, StepRecord, TrainConfig, TrainPair, TrainableModel, Trainer};
use critic_types::{ContentHasher, SeedTree};
use serde::Serialize;
use std::ops::ControlFlow;
use std::time::Duration;
use toml::Value;

/// The losses of a step, before its update.
#[derive(Debug, Serialize)]
struct Losses {
    joint: f64,
    critique: Option<f64>,
    preference: Option<f64>,
}

/// What one epoch over the work costs.
#[derive(Debug, Serialize)]
pub(super) struct Training {
    #[serde(flatten)]
    machine: Machine,
    model: String,
    precision: Precision,
    n_pairs: usize,
    critiques_per_response: usize,
    pairs_per_step: usize,
    n_steps: usize,
    /// What goes before the epoch that is measured, in which memory is first touched; loading is not in it.
    warm_up_seconds: f64,
    /// All steps of the epoch, AdamW included.
    seconds: f64,
    /// Tokens that were computed.
    computed_tokens: usize,
    /// Each prefix of a pair's sequences once.
    distinct_tokens: usize,
    /// Tokens of the sequences one by one, without padding.
    unshared_tokens: usize,
    /// Computed tokens.
    tokens_per_second: f64,
    distinct_tokens_per_second: f64,
    /// Operations that the work needs when nothing is computed twice, by [`training_flops`].
    model_flops: f64,
    /// Of the matrix product 2048 × 1536 × 576, measured before and after; the faster one.
    peak_flops_per_second: f64,
    /// Model operations a second over that peak.
    flop_utilisation: f64,
    peak_memory_bytes: Option<u64>,
    /// What a run says before it trains.
    estimated_memory_bytes: u64,
    /// Of the steps before that epoch, the first of which has the model as it was loaded.
    losses: Vec<Losses>,
}

/// The last of two epochs over the work.
pub(super) fn measure(args: &TrainArgs) -> Result<Training> {
    let bench = TrainBench::new(args)?;
    let config = bench.config(args.pairs_per_step)?;
    let peak_before = peak_flops(config.precision)?;
    let run = bench.train(&config, &bench.pairs)?;
    let peak = peak_flops(config.precision)?.max(peak_before);

    let (before, measured) =
        run.records.split_at(run.records.len() - run.records.len() / config.epochs);
    let seconds = |records: &[StepRecord]| records.iter().map(|record| record.seconds).sum::<f64>();
    let (warm_up_seconds, seconds) = (seconds(before), seconds(measured));
    let counts = Counts::of(&bench.pairs)?;
    let sum = |count: &dyn Fn(&StepRecord) -> usize| measured.iter().map(count).sum::<usize>();
    let computed_tokens = sum(&|record| record.n_tokens);
    let model_flops = training_flops(&bench.decoder, counts);
    Ok(Training {
        machine: Machine::this(),
        model: bench.fetched.name.clone(),
        precision: config.precision,
        n_pairs: bench.pairs.len(),
        critiques_per_response: args.critiques_per_response,
        pairs_per_step: args.pairs_per_step,
        n_steps: measured.len(),
        warm_up_seconds,
        seconds,
        computed_tokens,
        distinct_tokens: counts.n_tokens,
        unshared_tokens: sum(&|record| record.n_unshared_tokens),
        tokens_per_second: computed_tokens as f64 / seconds,
        distinct_tokens_per_second: counts.n_tokens as f64 / seconds,
        model_flops,
        peak_flops_per_second: peak,
        flop_utilisation: model_flops / seconds / peak,
        peak_memory_bytes: memory::peak_bytes(),
        estimated_memory_bytes: run.estimated_memory,
        losses: before.iter().map(losses).collect(),
    })
}

fn losses(record: &StepRecord) -> Losses {
    Losses {
        joint: record.joint_loss,
        critique: record.critique_loss,
        preference: record.preference_loss,
    }
}

/// The work as tokens, and the way to train on it.
pub(super) struct TrainBench {
    pub(super) pairs: Vec<TrainPair>,
    settings: crate::settings::Settings,
    is_scalar: bool,
    fetched: Fetched,
    decoder: DecoderConfig,
}

/// The steps of a run.
pub(super) struct TrainRun {
    pub(super) records: Vec<StepRecord>,
    estimated_memory: u64,
}

impl TrainBench {
    pub(super) fn new(args: &TrainArgs) -> Result<Self> {
        let settings = settings(&args.common, train_flags())?;
        if settings.train.device != TrainDevice::Cpu {
            return Err(Fault::config(anyhow!(
                "bench train measures the kernels of the CPU; leave train.device at cpu"
            )));
        }
        let fetched = fetch_model(&settings)?;
        let model = fetched.load()?;
        let work = Work::read(&args.common)?;
        let k = args.critiques_per_response;
        let pairs = work.with_critiques(args.common.pairs, k)?;
        let pairs = as_tokens(&pairs, &model, &settings)?;
        Ok(Self { pairs, settings, is_scalar: k == 0, fetched, decoder: model.config })
    }

    /// The trainer's configuration with so many pairs a step.
    pub(super) fn config(&self, pairs_per_step: usize) -> Result<TrainConfig> {
        let name = if self.is_scalar { "scalar" } else { "critic-rm" };
        let config = Method::resolve(name, &self.settings.train)?.train;
        Ok(TrainConfig { pairs_per_step, ..config })
    }

    /// Trains a fresh model on these pairs; nothing is written that stays.
    pub(super) fn train(&self, config: &TrainConfig, pairs: &[TrainPair]) -> Result<TrainRun> {
        let folder = tempfile::tempdir()?;
        let seed = SeedTree::new(self.settings.seed).child("train");
        let key = ContentHasher::new("bench").finish();
        let trainer = Trainer::new(config, pairs, seed, key, folder.path(), Duration::MAX)?;
        let mut estimated_memory = 0;
        // The weights are read here, so that nothing else holds them while they are trained.
        let start = || {
            let model = self.fetched.load()?;
            estimated_memory = trainer
                .memory(&model.config, model.decoder_bytes(), model.reward_head.as_ref())?
                .total();
            let head = config.reward_head.draw(model.config.d_model, &seed);
            TrainableModel::new(&model.config, model.weights, head, config.precision)
        };
        let ended = trainer.run(start, &mut |_| ControlFlow::Continue(()))?;
        match ended {
            Ended::Finished { records, .. } => Ok(TrainRun { records, estimated_memory }),
            Ended::Interrupted { .. } => Err(anyhow!("the training ended before its last step")),
        }
    }
}

/// Two epochs over every critique, where no step leaves a loss out; memory is first touched in the former.
fn train_flags() -> Vec<(&'static str, Value)> {
    let weight = [
        ("kind".to_owned(), Value::String("constant".to_owned())),
        ("weight".to_owned(), Value::Float(0.5)),
    ];
    vec![
        ("train.epochs", Value::Integer(2)),
        ("train.critiques_per_response", Value::Integer(0)),
        ("train.critique_dropout", Value::Float(0.0)),
        ("train.critique_weight", Value::Table(weight.into_iter().collect())),
    ]
}
