use crate::{Interval, StatsError, wilson_interval};
use serde::{Deserialize, Serialize};

/// What a pair with two equal rewards counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TieRule {
    /// Not correct: right only when chosen > rejected, as RewardBench does for reward models.
    Wrong,
    /// Half correct, as RewardBench does for generative judges.
    Half,
    /// Left out, and counted as a tie.
    Exclude,
}

impl TieRule {
    /// `wrong`, `half` or `exclude`.
    pub fn as_str(self) -> &'static str {
        match self {
            TieRule::Wrong => "wrong",
            TieRule::Half => "half",
            TieRule::Exclude => "exclude",
        }
    }

    /// What one pair counts: 1, 0 or ½; nothing when the rule leaves it out.
    ///
    /// NaN on either side counts as neither greater nor smaller; callers refuse it before.
    pub fn credit(self, chosen: f64, rejected: f64) -> Option<f64> {
        if chosen > rejected {
            Some(1.0)
        } else if chosen < rejected {
            Some(0.0)
        } else {
            match self {
                TieRule::Wrong => Some(0.0),
                TieRule::Half => Some(0.5),
                TieRule::Exclude => None,
            }
        }
    }
}

/// How many pairs are ranked as their label says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The pairs that `accuracy` is taken over; without the ties under [`TieRule::Exclude`].
    pub n: usize,
    /// Pairs with chosen > rejected, strictly.
    pub n_correct: usize,
    /// Pairs with chosen = rejected.
    pub n_ties: usize,
    /// Share of `n` that counts as correct under `tie_rule`, 0–1.
    pub accuracy: f64,
    /// What the ties counted as.
    pub tie_rule: TieRule,
}

impl Agreement {
    /// The correct pairs, ties credited by the rule; may end in ½.
    pub fn credit(&self) -> f64 {
        let tie_credit = if self.tie_rule == TieRule::Half { 0.5 } else { 0.0 };
        self.n_correct as f64 + tie_credit * self.n_ties as f64
    }

    /// The Wilson interval of the accuracy.
    ///
    /// # Errors
    /// [`StatsError::Confidence`] when `confidence` is outside (0, 1).
    pub fn interval(&self, confidence: f64) -> Result<Interval, StatsError> {
        wilson_interval(self.credit(), self.n, confidence)
    }
}

/// The share of (chosen, rejected) pairs that are ranked right, over examples and never over batches.
///
/// # Errors
/// [`StatsError::NotFinite`] for NaN or an infinity (the index counts pairs), and
/// [`StatsError::Empty`] when there is no pair, or only ties under [`TieRule::Exclude`].
///
/// # Examples
/// ```
/// use critic_stats::{TieRule, pairwise_accuracy};
/// let rewards = [(2.0, 1.0), (0.0, 3.0), (1.0, 1.0)];
/// assert_eq!(pairwise_accuracy(&rewards, TieRule::Half)?.accuracy, 0.5);
/// assert_eq!(pairwise_accuracy(&rewards, TieRule::Exclude)?.n, 2);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn pairwise_accuracy(pairs: &[(f64, f64)], tie_rule: TieRule) -> Result<Agreement, StatsError> {
    let (mut n, mut n_correct, mut n_ties) = (0, 0, 0);
    for (index, &(chosen, rejected)) in pairs.iter().enumerate() {
        for value in [chosen, rejected] {
            if !value.is_finite() {
                return Err(StatsError::NotFinite { what: "reward of pair", index, value });
            }
        }
        n += usize::from(tie_rule.credit(chosen, rejected).is_some());
        n_correct += usize::from(chosen > rejected);
        n_ties += usize::from(chosen == rejected);
    }
    if n == 0 {
        return Err(StatsError::Empty { what: "pairwise accuracy" });
    }
    let mut agreement = Agreement { n, n_correct, n_ties, accuracy: 0.0, tie_rule };
    agreement.accuracy = agreement.credit() / n as f64;
    Ok(agreement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REWARDS: [(f64, f64); 4] = [(2.0, 1.0), (0.0, 3.0), (1.0, 1.0), (5.0, -1.0)];

    #[track_caller]
    fn check(tie_rule: TieRule, n: usize, accuracy: f64) {
        let agreement = pairwise_accuracy(&REWARDS, tie_rule).unwrap();
        assert_eq!((agreement.n, agreement.n_correct, agreement.n_ties), (n, 2, 1));
        assert!((agreement.accuracy - accuracy).abs() < 1e-15, "{agreement:?}");
    }

    #[test]
    fn a_tie_counts_as_the_rule_says() {
        check(TieRule::Wrong, 4, 0.5);
        check(TieRule::Half, 4, 0.625);
        check(TieRule::Exclude, 3, 2.0 / 3.0);
    }

    #[test]
    fn nothing_to_count_is_an_error_and_not_zero() {
        assert!(pairwise_accuracy(&[], TieRule::Wrong).is_err());
        assert!(pairwise_accuracy(&[(1.0, 1.0)], TieRule::Exclude).is_err());
        assert!(pairwise_accuracy(&[(1.0, 1.0)], TieRule::Wrong).is_ok());
    }

    #[test]
    fn nan_is_refused_with_its_pair() {
        let error = pairwise_accuracy(&[(1.0, 0.0), (f64::NAN, 0.0)], TieRule::Wrong).unwrap_err();
        assert!(error.to_string().contains("pair number 1 is NaN"), "{error}");
    }

    proptest! {
        #[test]
        fn order_does_not_matter(mut pairs in prop::collection::vec((-3i32..3, -3i32..3), 1..40)) {
            let floats = |pairs: &[(i32, i32)]| -> Vec<(f64, f64)> {
                pairs.iter().map(|&(a, b)| (f64::from(a), f64::from(b))).collect()
            };
            let forward = pairwise_accuracy(&floats(&pairs), TieRule::Half);
            pairs.reverse();
            prop_assert_eq!(forward, pairwise_accuracy(&floats(&pairs), TieRule::Half));
        }
    }
}
