use super::DropReason;
use crate::MethodError;
use crate::no_fields::no_fields;
use serde::{Deserialize, Serialize};

/// When critiques agree with the preference label.
///
/// s⁺ᵢ and s⁻ⱼ are the scores of the critiques of the chosen and of the rejected response, s̄⁺ and s̄⁻
/// their means over the critiques that have a score. All comparisons are strict; a difference of no
/// more than 10⁻⁹ is rounding and counts as a tie, and ties never pass.
///
/// | rule          | a pair stays when                              | and of its critiques          |
/// |---------------|------------------------------------------------|-------------------------------|
/// | `pair_mean`   | s̄⁺ > s̄⁻                                        | all                           |
/// | `pair_margin` | s̄⁺ − s̄⁻ > `delta`                              | all                           |
/// | `per_critique`| s̄⁺ > s̄⁻                                        | z⁺ᵢ with s⁺ᵢ > s̄⁻, z⁻ⱼ with s⁻ⱼ < s̄⁺ |
/// | `cross`       | some s⁺ᵢ > s⁻ⱼ                                 | those in such a combination   |
/// | `majority`    | the share of (i, j) with s⁺ᵢ > s⁻ⱼ is > `tau`  | all                           |
/// | `none`        | both responses have a critique                 | all                           |
///
/// Source: "the score for the chosen response should be higher than that for the rejected one" is
/// reported of the paper; its equation is not, and every row of the table is one reading of that
/// sentence. `none` is for baselines and ablations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FilterRule {
    /// The mean score of the chosen response is the higher one; the project's default.
    #[serde(deserialize_with = "no_fields")]
    PairMean,
    /// The mean scores differ in the label's direction by more than `delta`.
    PairMargin {
        /// In units of the score; finite and at least 0.
        delta: f64,
    },
    /// Within a pair that `pair_mean` keeps, the critiques that lie on the right side of the other
    /// response's mean.
    #[serde(deserialize_with = "no_fields")]
    PerCritique,
    /// Critiques that are part of a combination that agrees with the label; see
    /// [`agreeing_combinations`] for the combinations themselves.
    #[serde(deserialize_with = "no_fields")]
    Cross,
    /// More than the share `tau` of all combinations agrees with the label.
    Majority {
        /// A share, in [0, 1).
        tau: f64,
    },
    /// Every critique, whatever its score.
    #[serde(deserialize_with = "no_fields")]
    None,
}

/// Differences up to this are rounding: means of the same scores may differ by as much.
const ROUNDING: f64 = 1e-9;

impl FilterRule {
    /// Checks the rule's parameter against its range.
    ///
    /// # Errors
    /// [`MethodError::Setting`] naming `filter.delta` or `filter.tau`.
    pub fn validate(&self) -> Result<(), MethodError> {
        match *self {
            FilterRule::PairMargin { delta } if !(delta.is_finite() && delta >= 0.0) => {
                Err(MethodError::Setting {
                    field: "filter.delta",
                    value: delta,
                    rule: "finite and at least 0",
                })
            }
            FilterRule::Majority { tau } if !(0.0..1.0).contains(&tau) => {
                Err(MethodError::Setting {
                    field: "filter.tau",
                    value: tau,
                    rule: "at least 0 and below 1",
                })
            }
            _ => Ok(()),
        }
    }

    /// For each score of the chosen and of the rejected response whether its critique stays, or why
    /// the pair goes. Neither side is empty, but for [`FilterRule::None`], which reads no scores.
    pub(super) fn decide(
        &self,
        chosen: &[f64],
        rejected: &[f64],
    ) -> Result<[Vec<bool>; 2], DropReason> {
        let all = [vec![true; chosen.len()], vec![true; rejected.len()]];
        match *self {
            FilterRule::None => Ok(all),
            FilterRule::PairMean => means_agree(chosen, rejected, 0.0).map(|()| all),
            FilterRule::PairMargin { delta } => means_agree(chosen, rejected, delta).map(|()| all),
            FilterRule::PerCritique => {
                means_agree(chosen, rejected, 0.0)?;
                Ok(split_at(chosen, rejected, mean(chosen), mean(rejected)))
            }
            FilterRule::Cross => {
                let highest = chosen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let lowest = rejected.iter().copied().fold(f64::INFINITY, f64::min);
                if !exceeds(highest, lowest) {
                    return Err(DropReason::NoCombination);
                }
                Ok(split_at(chosen, rejected, highest, lowest))
            }
            FilterRule::Majority { tau } => {
                let n_combinations = chosen.len() * rejected.len();
                let n_agreeing = agreeing_combinations(chosen, rejected).len();
                if n_agreeing as f64 / n_combinations as f64 > tau {
                    Ok(all)
                } else {
                    Err(DropReason::FewCombinations)
                }
            }
        }
    }
}

/// The combinations (i, j) with s⁺ᵢ > s⁻ⱼ, in lexicographic order: what [`FilterRule::Cross`] keeps.
///
/// The verdict of a single critique says only that it stands in some combination; who pairs critiques
/// for training takes the pairs from here.
pub fn agreeing_combinations(chosen: &[f64], rejected: &[f64]) -> Vec<(usize, usize)> {
    let mut combinations = Vec::new();
    for (i, &above) in chosen.iter().enumerate() {
        for (j, &below) in rejected.iter().enumerate() {
            if exceeds(above, below) {
                combinations.push((i, j));
            }
        }
    }
    combinations
}

/// Which chosen scores lie above `low` and which rejected ones below `high`.
fn split_at(chosen: &[f64], rejected: &[f64], high: f64, low: f64) -> [Vec<bool>; 2] {
    [
        chosen.iter().map(|&score| exceeds(score, low)).collect(),
        rejected.iter().map(|&score| exceeds(high, score)).collect(),
    ]
}

fn means_agree(chosen: &[f64], rejected: &[f64], delta: f64) -> Result<(), DropReason> {
    let (high, low) = (mean(chosen), mean(rejected));
    if exceeds(high - low, delta) {
        Ok(())
    } else if exceeds(high, low) {
        Err(DropReason::SmallMargin)
    } else if exceeds(low, high) {
        Err(DropReason::MeanDisagrees)
    } else {
        Err(DropReason::Tie)
    }
}

/// a > b by more than rounding.
pub(super) fn exceeds(a: f64, b: f64) -> bool {
    a - b > ROUNDING
}

/// The mean of at least one score; the same for every order of the scores.
pub(super) fn mean(scores: &[f64]) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.iter().sum::<f64>() / sorted.len() as f64
}
