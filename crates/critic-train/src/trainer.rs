mod batches;

use crate::backend::{Backend, Composed, Kernels};
use crate::checkpoint::{Checkpoints, Progress};
use crate::evaluation::{best_step, evaluate};
use crate::loss::{LossSums, LossWeights};
use crate::{HeldOut, Keep, StepRecord, TrainConfig, TrainError, TrainPair, TrainableModel};
use critic_forest::TrainingForest;
use critic_model::composed::Device;
use critic_model::is_reward_head;
use critic_stats::MarginUse;
use critic_types::{ContentId, SeedTree};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// How a run of the trainer ended.
#[derive(Debug)]
pub enum Ended {
    /// All steps were taken.
    Finished {
        /// The trained model.
        model: Box<TrainableModel>,
        /// Every step, those before a resumption included.
        records: Vec<StepRecord>,
    },
    /// It was asked to stop; a checkpoint was written.
    Interrupted {
        /// Steps taken so far.
        n_steps: usize,
    },
}

/// The training loop.
#[derive(Debug)]
pub struct Trainer<'a> {
    config: &'a TrainConfig,
    pairs: &'a [TrainPair],
    seed: SeedTree,
    run: ContentId,
    held_out: &'a [HeldOut],
    checkpoints: Checkpoints,
    checkpoint_every: Duration,
    /// Where candle trains; the kernels do without.
    device: Option<Device>,
}

impl<'a> Trainer<'a> {
    /// A trainer of these pairs with checkpoints in `folder`, at least `checkpoint_every` apart.
    ///
    /// `run` is the address of everything the result depends on: a checkpoint is taken up only when its
    /// address is the same.
    ///
    /// # Errors
    /// [`TrainError::Config`], [`TrainError::NoPairs`], and where margins are used [`TrainError::Margin`] and
    /// [`TrainError::NoMargins`].
    pub fn new(
        config: &'a TrainConfig,
        pairs: &'a [TrainPair],
        seed: SeedTree,
        run: ContentId,
        folder: &Path,
        checkpoint_every: Duration,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        if pairs.is_empty() {
            return Err(TrainError::NoPairs);
        }
        if config.preference.margin != MarginUse::Ignore {
            if pairs.iter().all(|pair| pair.margin.is_none()) {
                return Err(TrainError::NoMargins { n_pairs: pairs.len() });
            }
            refuse_margins(pairs)?;
        }
        Ok(Self {
            config,
            pairs,
            seed,
            run,
            held_out: &[],
            checkpoints: Checkpoints::new(folder, config.keep_checkpoints),
            checkpoint_every,
            device: None,
        })
    }

    /// Looks at these pairs while it trains, as the configuration says; the first set decides.
    pub fn with_held_out(mut self, held_out: &'a [HeldOut]) -> Self {
        self.held_out = held_out;
        self
    }

    /// Trains through candle's operations on `device` instead of the CPU's kernels, from the same
    /// checkpoints.
    ///
    /// # Errors
    /// As [`TrainConfig::check_composed`].
    pub fn composed_on(self, device: Device) -> Result<Self, TrainError> {
        self.config.check_composed()?;
        Ok(Self { device: Some(device), ..self })
    }

    /// Optimizer steps of one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.pairs.len().div_ceil(self.config.pairs_per_step)
    }

    /// Optimizer steps in all, those of the reward head alone included.
    pub fn n_steps(&self) -> usize {
        self.config.head_warmup_steps + self.n_joint_steps()
    }

    fn n_joint_steps(&self) -> usize {
        self.steps_per_epoch() * self.config.epochs
    }

    /// Trains the model that `start` gives, from the newest checkpoint of this run if there is one.
    ///
    /// `on_step` hears of each step and may stop the training after it.
    ///
    /// # Errors
    /// [`TrainError`]; the newest checkpoint stays.
    pub fn run(
        &self,
        start: impl FnOnce() -> Result<TrainableModel, TrainError>,
        on_step: &mut dyn FnMut(&StepRecord) -> ControlFlow<()>,
    ) -> Result<Ended, TrainError> {
        if self.config.preference.margin != MarginUse::Ignore {
            self.held_out.iter().try_for_each(|set| refuse_margins(&set.pairs))?;
        }
        let mut model = start()?;
        if let Some(lora) = &self.config.lora {
            model = model.with_lora(lora, &self.seed);
        }
        let backend: Box<dyn Backend> = match &self.device {
            None => Box::new(Kernels::new(model, self.config.activations)),
            Some(device) => Box::new(Composed::new(model, device)?),
        };
        let mut progress = match self.checkpoints.load(&self.run)? {
            Some(saved) => saved.resume(backend)?,
            None => Progress { backend, records: Vec::new() },
        };
        let mut saved = Instant::now();
        while !self.is_over(&progress.records) {
            let record = self.step(&mut progress)?;
            progress.records.push(record);
            self.look(&mut progress)?;
            let stop = progress.records.last().is_some_and(|record| on_step(record).is_break());
            let unfinished = !self.is_over(&progress.records);
            if unfinished && (stop || saved.elapsed() >= self.checkpoint_every) {
                self.checkpoints.save(&self.run, &progress)?;
                saved = Instant::now();
            }
            if unfinished && stop {
                return Ok(Ended::Interrupted { n_steps: progress.records.len() });
            }
        }
        let Progress { mut backend, records } = progress;
        if self.config.evaluation.keep == Keep::Best
            && let Some((step, _)) = best_step(self.config, &records)
            && step + 1 < records.len()
        {
            self.checkpoints.load_best(&self.run, step, backend.as_mut())?;
        }
        Ok(Ended::Finished { model: Box::new(backend.into_model()?), records })
    }

    /// Whether all steps were taken, or none was better for too long.
    fn is_over(&self, records: &[StepRecord]) -> bool {
        let patience = self.config.evaluation.patience;
        records.len() >= self.n_steps()
            || patience > 0
                && best_step(self.config, records).is_some_and(|(_, n_since)| n_since >= patience)
    }

    /// Looks at the held-out pairs if they are due, and keeps the weights if they are the best so far.
    fn look(&self, progress: &mut Progress) -> Result<(), TrainError> {
        let n_done = progress.records.len();
        let Some(last) = progress.records.last_mut() else { return Ok(()) };
        if !self.config.evaluation.is_due(n_done, self.n_steps()) {
            return Ok(());
        }
        for set in self.held_out {
            last.evaluations.push(evaluate(set, progress.backend.as_mut(), self.config)?);
        }
        let best = best_step(self.config, &progress.records);
        if self.config.evaluation.keep == Keep::Best && best == Some((n_done - 1, 0)) {
            self.checkpoints.save_best(&self.run, n_done - 1, progress.backend.as_ref())?;
        }
        Ok(())
    }

    /// Removes the checkpoints of this run; call it once the trained model is stored.
    pub fn clear_checkpoints(&self) {
        self.checkpoints.clear();
    }

    /// The pairs of a step, in the order of its epoch, which `draws` decides.
    fn step_pairs(&self, step: usize, draws: &SeedTree) -> Vec<&TrainPair> {
        let (epoch, within) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        let order = batches::epoch_order(self.pairs, &draws.index(epoch as u64));
        let start = within * self.config.pairs_per_step;
        let end = (start + self.config.pairs_per_step).min(order.len());
        order[start..end].iter().map(|&pair| &self.pairs[pair]).collect()
    }

    pub(crate) fn config(&self) -> &TrainConfig {
        self.config
    }

    pub(crate) fn pairs(&self) -> &[TrainPair] {
        self.pairs
    }

    /// The forests of a step, and its place among the joint steps; none while the head learns alone.
    fn step_forests(&self, step: usize) -> Result<StepForests, TrainError> {
        // The schedules of the joint steps know nothing of those before them.
        let joint_step = step.checked_sub(self.config.head_warmup_steps);
        let (place, draws) = match joint_step {
            Some(joint_step) => (joint_step, self.seed),
            None => (step, self.seed.child("head")),
        };
        let epoch = place / self.steps_per_epoch();
        let pairs = self.step_pairs(place, &draws.child("order"));
        let forests = batches::forests(&pairs, self.config, &draws.child("draw"), epoch)?;
        Ok(StepForests { joint_step, epoch, forests })
    }

    /// Tokens of the largest forest of a step.
    pub(crate) fn largest_pack(&self, step: usize) -> Result<usize, TrainError> {
        let StepForests { forests, .. } = self.step_forests(step)?;
        Ok(forests.iter().map(TrainingForest::n_tokens).max().unwrap_or(0))
    }

    /// One optimizer step: forests under the token budget, gradients summed, one update.
    fn step(&self, progress: &mut Progress) -> Result<StepRecord, TrainError> {
        let started = Instant::now();
        let step = progress.records.len();
        let StepForests { joint_step, epoch, forests } = self.step_forests(step)?;
        let critique_weight = joint_step.map_or(0.0, |step| {
            self.config.critique_weight.at(step, self.config.epochs, self.steps_per_epoch())
        });
        let n_critique_tokens = forests.iter().map(|forest| forest.targets.len()).sum();
        let n_pairs = forests
            .iter()
            .flat_map(|forest| &forest.comparisons)
            .filter(|pair| !pair.is_empty())
            .count();
        let weights = match joint_step {
            None => LossWeights::of_head(self.config.preference, n_pairs),
            Some(_) => LossWeights {
                pair_loss: self.config.preference,
                ..LossWeights::new(self.config.joint, critique_weight, n_critique_tokens, n_pairs)
            },
        };

        let mut sums = LossSums::default();
        let backend = &mut progress.backend;
        backend.clear();
        let draws = self.seed.child("dropout").index(step as u64);
        for (pack, forest) in forests.iter().enumerate() {
            let key = (draws.index(pack as u64).uniform() * (1u64 << 53) as f64) as u64;
            sums += backend.add(forest, weights, Some(key))?;
        }
        let joint_loss =
            weights.critique * sums.critique_nats + weights.preference * sums.preference_nats;
        if !joint_loss.is_finite() {
            return Err(TrainError::NonFinite {
                what: "the joint loss".to_owned(),
                value: joint_loss,
                step,
            });
        }
        if step == 0 || joint_step == Some(0) {
            check_gradients(backend.as_ref(), weights)?;
        }
        let rate_share = joint_step
            .map_or(1.0, |step| self.config.learning_rate.share(step, self.n_joint_steps()));
        let decoder_share = if weights.head_only { 0.0 } else { rate_share };
        let grad_norm = backend.step(self.config, rate_share, step)?;
        let mean = |sum: f64, count: usize| (count > 0).then(|| sum / count as f64);
        Ok(StepRecord {
            step,
            epoch,
            critique_weight,
            learning_rate: self.config.learning_rate.peak * decoder_share,
            critique_loss: mean(sums.critique_nats, sums.n_critique_tokens),
            preference_loss: mean(sums.preference_nats, sums.n_pairs),
            joint_loss,
            accuracy: mean(sums.n_correct as f64, sums.n_comparisons),
            grad_norm,
            n_tokens: forests.iter().map(TrainingForest::n_tokens).sum(),
            n_unshared_tokens: forests.iter().map(|forest| forest.n_unshared_tokens).sum(),
            seconds: started.elapsed().as_secs_f64(),
            evaluations: Vec::new(),
        })
    }
}

/// What a step trains on.
struct StepForests {
    /// From 0, after the steps of the head alone.
    joint_step: Option<usize>,
    epoch: usize,
    forests: Vec<TrainingForest>,
}

/// Every parameter on the path of the first step's loss must have a finite gradient that is not all zeros.
fn check_gradients(backend: &dyn Backend, weights: LossWeights) -> Result<(), TrainError> {
    if weights.critique == 0.0 && weights.preference == 0.0 {
        return Ok(());
    }
    let is_expected = |name: &str| match name {
        name if is_reward_head(name) => weights.preference != 0.0,
        // Tied to the embedding it is no parameter of its own.
        "lm_head.weight" => weights.critique != 0.0,
        _ => !weights.head_only,
    };
    let mut without = backend.without_gradient()?.into_iter();
    match without.find(|(name, _)| is_expected(name)) {
        None => Ok(()),
        Some((name, found)) => Err(TrainError::NoGradient { name, found }),
    }
}

/// Margins that shift or weigh a loss are distances: a negative one would turn the label round.
fn refuse_margins(pairs: &[TrainPair]) -> Result<(), TrainError> {
    let mut stated = pairs.iter().filter_map(|pair| Some((pair, pair.margin?)));
    match stated.find(|(_, margin)| !margin.is_finite() || *margin < 0.0) {
        Some((pair, margin)) => Err(TrainError::Margin { pair_id: pair.id.clone(), margin }),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
