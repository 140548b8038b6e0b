use serde::{Deserialize, Serialize};

/// λ(t), the weight of the critique loss, as a function of the step.
///
/// With K epochs of T steps, t counted from 1:
///
/// | kind       | λ(t)                                                              |
/// |------------|-------------------------------------------------------------------|
/// | `paper`    | 1 while t ≤ (K−1)T, then 1 − β·(t − (K−1)T)/T                     |
/// | `reverse`  | 1 − λ of `paper`                                                  |
/// | `constant` | the weight                                                        |
/// | `linear`   | from `start` to `end` over all steps                              |
/// | `cosine`   | from `start` to `end` over all steps along half a cosine          |
/// | `step`     | `before` while t ≤ at·K·T, `after` from then on                   |
///
/// `paper` is Critic-RM §3.2.3: the digest has it start at 1 and go to the rewards; the written form and
/// β = 0.9 are our reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum CritiqueWeight {
    /// Critiques alone until the last epoch, then a linear fall by `beta`.
    Paper {
        /// How far the weight falls over the last epoch, 0–1.
        beta: f64,
    },
    /// Rewards first, critiques last.
    Reverse {
        /// The `beta` of the schedule that is reversed.
        beta: f64,
    },
    /// The same weight at every step.
    Constant {
        /// The weight; 0 trains a reward model alone.
        weight: f64,
    },
    /// A straight line.
    Linear {
        /// Weight before the first step.
        start: f64,
        /// Weight at the last step.
        end: f64,
    },
    /// Half a cosine.
    Cosine {
        /// Weight before the first step.
        start: f64,
        /// Weight at the last step.
        end: f64,
    },
    /// One jump.
    Step {
        /// Share of all steps before the jump, 0–1.
        at: f64,
        /// Weight before it.
        before: f64,
        /// Weight after it.
        after: f64,
    },
}

impl CritiqueWeight {
    /// λ at `step`, counted from 0, of `n_epochs` epochs of `steps_per_epoch` steps.
    pub fn at(&self, step: usize, n_epochs: usize, steps_per_epoch: usize) -> f64 {
        let t = (step + 1) as f64;
        let epoch = steps_per_epoch.max(1) as f64;
        let total = epoch * n_epochs.max(1) as f64;
        let progress = (t / total).min(1.0);
        match *self {
            CritiqueWeight::Paper { beta } => {
                1.0 - beta * ((t - (total - epoch)) / epoch).clamp(0.0, 1.0)
            }
            CritiqueWeight::Reverse { beta } => {
                1.0 - CritiqueWeight::Paper { beta }.at(step, n_epochs, steps_per_epoch)
            }
            CritiqueWeight::Constant { weight } => weight,
            CritiqueWeight::Linear { start, end } => start + (end - start) * progress,
            CritiqueWeight::Cosine { start, end } => {
                end + (start - end) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            CritiqueWeight::Step { at, before, after } => {
                if t <= at * total {
                    before
                } else {
                    after
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(weight: CritiqueWeight, expected: &[f64]) {
        for (step, expected) in expected.iter().enumerate() {
            let found = weight.at(step, 2, 3);
            assert!((found - expected).abs() < 1e-12, "step {step}: {found} is not {expected}");
        }
    }

    #[test]
    fn the_papers_weight_falls_in_the_last_epoch() {
        check(CritiqueWeight::Paper { beta: 0.9 }, &[1.0, 1.0, 1.0, 0.7, 0.4, 0.1]);
    }

    #[test]
    fn with_one_epoch_it_falls_from_the_start() {
        let weight = CritiqueWeight::Paper { beta: 0.9 };
        assert!((weight.at(0, 1, 2) - 0.55).abs() < 1e-12);
        assert!((weight.at(1, 1, 2) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn the_ablations_follow_their_formulas() {
        check(CritiqueWeight::Reverse { beta: 0.9 }, &[0.0, 0.0, 0.0, 0.3, 0.6, 0.9]);
        check(CritiqueWeight::Constant { weight: 0.25 }, &[0.25; 6]);
        check(CritiqueWeight::Linear { start: 1.0, end: 0.4 }, &[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]);
        check(
            CritiqueWeight::Step { at: 0.5, before: 1.0, after: 0.0 },
            &[1.0, 1.0, 1.0, 0.0, 0.0, 0.0],
        );
        let cosine = CritiqueWeight::Cosine { start: 1.0, end: 0.0 };
        assert!((cosine.at(2, 2, 3) - 0.5).abs() < 1e-12 && cosine.at(5, 2, 3).abs() < 1e-12);
    }
}
