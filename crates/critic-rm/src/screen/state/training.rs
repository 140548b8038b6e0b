use super::super::harmless::one_line;
use crate::commands::bench::peak_bytes;
use crate::metrics;
use critic_train::{EvaluationRecord, StepRecord};
use std::path::Path;

/// The weight of all earlier steps in a smoothed curve: about ten steps are seen.
const MEMORY: f64 = 0.9;

/// Steps whose speed is averaged.
const SPEED_STEPS: usize = 10;

/// One training, step by step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Training {
    pub(crate) name: String,
    pub(crate) n_steps: u64,
    records: Vec<StepRecord>,
    pub(crate) peak_bytes: Option<u64>,
}

impl Training {
    /// One that ended before.
    pub(crate) fn ended(name: &str, records: Vec<StepRecord>) -> Self {
        let n_steps = records.len() as u64;
        Self { name: one_line(name), n_steps, records, peak_bytes: None }
    }

    /// Adds a step. The steps of earlier sittings come from the metrics in `folder`.
    pub(crate) fn step(&mut self, folder: &Path, name: &str, n_steps: u64, record: StepRecord) {
        let is_next = self.records.last().is_some_and(|last| last.step + 1 == record.step);
        if self.name != name || !is_next {
            *self = Self::ended(&one_line(name), metrics::earlier(folder, name, record.step));
        }
        self.n_steps = n_steps;
        self.peak_bytes = peak_bytes();
        self.records.push(record);
    }

    pub(crate) fn last(&self) -> Option<&StepRecord> {
        self.records.last()
    }

    pub(crate) fn tokens_per_second(&self) -> f64 {
        let last = &self.records[self.records.len().saturating_sub(SPEED_STEPS)..];
        let seconds: f64 = last.iter().map(|record| record.seconds).sum();
        last.iter().map(|record| record.n_tokens).sum::<usize>() as f64 / seconds.max(1e-9)
    }

    /// The points of a curve, steps from 1; smoothed where it is one that scatters.
    pub(crate) fn points(&self, curve: &Curve) -> Vec<(f64, f64)> {
        let (mut sum, mut weight) = (0.0, 0.0);
        let values = self.records.iter().filter_map(|one| Some((one.step, (curve.of)(one)?)));
        let point = |(step, value): (usize, f64)| {
            let memory = if curve.is_smoothed { MEMORY } else { 0.0 };
            (sum, weight) = (memory * sum + value, memory * weight + 1.0);
            ((step + 1) as f64, sum / weight)
        };
        values.map(point).collect()
    }

    /// What the held-out pairs that decide said of a curve's number, at the steps where they were asked.
    pub(crate) fn held_out(&self, curve: &Curve) -> Vec<(f64, f64)> {
        let Some(of) = curve.held_out else { return Vec::new() };
        let asked = self
            .records
            .iter()
            .filter_map(|record| Some((record.step, of(record.evaluations.first()?))));
        asked.filter_map(|(step, value)| Some(((step + 1) as f64, value?))).collect()
    }
}

/// One number over the steps of a training.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// What its values are shown between; their own extremes if absent.
    pub(crate) range: Option<[f64; 2]>,
    pub(crate) is_smoothed: bool,
    of: fn(&StepRecord) -> Option<f64>,
    held_out: Option<fn(&EvaluationRecord) -> Option<f64>>,
}

impl Curve {
    /// All curves in their order.
    pub(crate) const ALL: [Self; 6] = [
        Self {
            title: "critique loss",
            unit: "nats/token",
            range: None,
            is_smoothed: true,
            of: |step| step.critique_loss,
            held_out: Some(|set| set.critique_loss),
        },
        Self {
            title: "preference loss",
            unit: "nats/pair",
            range: None,
            is_smoothed: true,
            of: |step| step.preference_loss,
            held_out: Some(|set| set.preference_loss),
        },
        Self {
            title: "accuracy",
            unit: "% of pairs",
            range: Some([0.0, 100.0]),
            is_smoothed: true,
            of: |step| step.accuracy.map(|share| 100.0 * share),
            held_out: Some(|set| set.accuracy.map(|share| 100.0 * share)),
        },
        Self {
            title: "critique weight λ",
            unit: "",
            range: Some([0.0, 1.0]),
            is_smoothed: false,
            of: |step| Some(step.critique_weight),
            held_out: None,
        },
        Self {
            title: "learning rate",
            unit: "",
            range: None,
            is_smoothed: false,
            of: |step| Some(step.learning_rate),
            held_out: None,
        },
        Self {
            title: "gradient norm",
            unit: "",
            range: None,
            is_smoothed: true,
            of: |step| Some(step.grad_norm),
            held_out: None,
        },
    ];

    /// A value as its axis says it.
    pub(crate) fn text(&self, value: f64) -> String {
        let size = value.abs();
        if self.range == Some([0.0, 100.0]) {
            format!("{value:.0}")
        } else if size > 0.0 && !(0.001..10_000.0).contains(&size) {
            format!("{value:.1e}")
        } else if size >= 100.0 {
            format!("{value:.0}")
        } else {
            format!("{value:.3}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: usize, grad_norm: f64) -> StepRecord {
        StepRecord {
            step,
            epoch: 0,
            critique_weight: 1.0,
            learning_rate: 1e-5,
            critique_loss: None,
            preference_loss: None,
            joint_loss: 0.0,
            accuracy: None,
            grad_norm,
            n_tokens: 10,
            n_unshared_tokens: 20,
            seconds: 0.5,
            evaluations: Vec::new(),
        }
    }

    #[test]
    fn a_smoothed_curve_begins_at_its_first_value_and_keeps_a_constant() {
        let training = Training::ended("rm", (0..5).map(|step| record(step, 2.0)).collect());
        let norms = training.points(&Curve::ALL[5]);
        assert_eq!(norms.len(), 5);
        assert!(norms.iter().all(|(_, norm)| (norm - 2.0).abs() < 1e-12));
        assert!(training.points(&Curve::ALL[0]).is_empty());
        assert_eq!(training.tokens_per_second(), 20.0);
    }

    #[test]
    fn a_resumed_training_has_its_earlier_steps() {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<String> =
            (0..4).map(|step| serde_json::to_string(&record(step, 1.0)).unwrap()).collect();
        let path = folder.path().join("metrics-rm.jsonl");
        critic_types::atomic_file::write(&path, lines.join("\n").as_bytes()).unwrap();
        let mut training = Training::default();
        training.step(folder.path(), "rm", 10, record(2, 1.0));
        training.step(folder.path(), "rm", 10, record(3, 1.0));
        let steps: Vec<f64> =
            training.points(&Curve::ALL[3]).iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0]);
    }
}
