use crate::backend::Backend;
use crate::loss::{LossSums, LossWeights};
use crate::{JointForm, StepRecord, TrainConfig, TrainError, TrainPair};
use critic_forest::{TrainingForest, pack};
use critic_types::SeedTree;
use serde::{Deserialize, Serialize};

/// Pairs that are looked at during training and never trained on.
#[derive(Debug, Clone)]
pub struct HeldOut {
    /// Its name in records.
    pub name: String,
    /// The pairs; their critiques, if they have any, are what the critique loss is taken on.
    pub pairs: Vec<TrainPair>,
}

/// What decides which step was the best.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Nats per pair, the lower the better.
    #[default]
    PreferenceLoss,
    /// Share of right pairs, the higher the better.
    Accuracy,
    /// Nats per critique token, the lower the better.
    CritiqueLoss,
}

/// Which weights a training ends with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Those of the last step.
    #[default]
    Last,
    /// Those of the step that was best on the first held-out set.
    Best,
}

/// When held-out pairs are looked at, and what follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Steps between two evaluations, and one after the last step; 0 leaves them out.
    pub every: usize,
    /// What decides.
    pub metric: Metric,
    /// Which weights stay.
    pub keep: Keep,
    /// Evaluations without a better one after which training stops; 0 goes on to the end.
    pub patience: usize,
}

/// What a model does on held-out pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// The held-out set.
    pub set: String,
    /// Its pairs.
    pub n_pairs: usize,
    /// Nats per pair; absent without pairs.
    pub preference_loss: Option<f64>,
    /// Share of comparisons whose chosen response has the higher reward.
    pub accuracy: Option<f64>,
    /// Nats per critique token; absent when the set has no critiques.
    pub critique_loss: Option<f64>,
}

impl EvaluationRecord {
    fn metric(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::PreferenceLoss => self.preference_loss,
            Metric::Accuracy => self.accuracy.map(|accuracy| -accuracy),
            Metric::CritiqueLoss => self.critique_loss,
        }
    }
}

impl EvaluationConfig {
    /// Whether held-out pairs are looked at after `n_done` of `n_steps` steps.
    pub(crate) fn is_due(&self, n_done: usize, n_steps: usize) -> bool {
        self.every > 0 && (n_done.is_multiple_of(self.every) || n_done == n_steps)
    }
}

/// The step after which the first held-out set fared best, and evaluations since; the earlier of equals.
///
/// Under a metric of the preference, steps whose preference loss has no weight yet do not count: the
/// reward head has learned nothing by then.
pub(crate) fn best_step(config: &TrainConfig, records: &[StepRecord]) -> Option<(usize, usize)> {
    let metric = config.evaluation.metric;
    let is_idle = |record: &StepRecord| {
        metric != Metric::CritiqueLoss
            && config.joint == JointForm::Convex
            && record.critique_weight >= 1.0
    };
    let mut best: Option<(usize, f64)> = None;
    let mut n_since = 0;
    for record in records.iter().filter(|record| !is_idle(record)) {
        let Some(value) = record.evaluations.first().and_then(|first| first.metric(metric)) else {
            continue;
        };
        if best.is_none_or(|(_, lowest)| value < lowest) {
            best = Some((record.step, value));
            n_since = 0;
        } else {
            n_since += 1;
        }
    }
    best.map(|(step, _)| (step, n_since))
}

/// Looks at a held-out set: every critique of it, and every response without critique.
pub(crate) fn evaluate(
    set: &HeldOut,
    backend: &mut dyn Backend,
    config: &TrainConfig,
) -> Result<EvaluationRecord, TrainError> {
    let drawn: Vec<_> =
        set.pairs.iter().map(|pair| pair.draw(&SeedTree::new(0), 0, 0, 1.0)).collect();
    let sizes: Vec<usize> = drawn
        .iter()
        .map(|pair| Ok(TrainingForest::build(std::slice::from_ref(pair))?.n_tokens()))
        .collect::<Result<_, TrainError>>()?;
    let only_looking =
        LossWeights { pair_loss: config.preference, ..LossWeights::new(config.joint, 0.0, 0, 0) };
    let mut sums = LossSums::default();
    for places in pack(&sizes, config.tokens_per_pack) {
        let pairs: Vec<_> = places.into_iter().map(|place| drawn[place].clone()).collect();
        let forest = TrainingForest::build(&pairs)?;
        sums += backend.add(&forest, only_looking, None)?;
    }
    let mean = |sum: f64, count: usize| (count > 0).then(|| sum / count as f64);
    Ok(EvaluationRecord {
        set: set.name.clone(),
        n_pairs: sums.n_pairs,
        preference_loss: mean(sums.preference_nats, sums.n_pairs),
        accuracy: mean(sums.n_correct as f64, sums.n_comparisons),
        critique_loss: mean(sums.critique_nats, sums.n_critique_tokens),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::tests::config;

    fn record(step: usize, critique_weight: f64, loss: Option<f64>) -> StepRecord {
        let evaluation = loss.map(|loss| EvaluationRecord {
            set: "dev".to_owned(),
            n_pairs: 4,
            preference_loss: Some(loss),
            accuracy: Some(1.0 - loss),
            critique_loss: None,
        });
        StepRecord {
            step,
            epoch: 0,
            critique_weight,
            learning_rate: 1e-3,
            critique_loss: None,
            preference_loss: None,
            joint_loss: 1.0,
            accuracy: None,
            grad_norm: 1.0,
            n_tokens: 1,
            n_unshared_tokens: 1,
            seconds: 0.0,
            evaluations: evaluation.into_iter().collect(),
        }
    }

    #[test]
    fn the_best_step_is_the_earliest_of_equals_and_counts_what_came_after() {
        let losses = [Some(0.7), None, Some(0.5), Some(0.5), None, Some(0.6)];
        let records: Vec<StepRecord> =
            losses.into_iter().enumerate().map(|(i, loss)| record(i, 0.5, loss)).collect();
        assert_eq!(best_step(&config(), &records), Some((2, 2)));
        let evaluation = EvaluationConfig { metric: Metric::Accuracy, ..Default::default() };
        assert_eq!(best_step(&TrainConfig { evaluation, ..config() }, &records), Some((2, 2)));
        let evaluation = EvaluationConfig { metric: Metric::CritiqueLoss, ..Default::default() };
        assert_eq!(best_step(&TrainConfig { evaluation, ..config() }, &records), None);
    }

    #[test]
    fn steps_before_the_preference_counts_are_not_the_best_of_it() {
        let records = [record(0, 1.0, Some(0.1)), record(1, 0.5, Some(0.6))];
        assert_eq!(best_step(&config(), &records), Some((1, 0)));
    }
}
