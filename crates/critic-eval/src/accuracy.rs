use critic_stats::{Agreement, Interval, StatsError, TieRule, pairwise_accuracy};
use serde::{Deserialize, Serialize};

/// The confidence of every interval in a result.
pub const CONFIDENCE: f64 = 0.95;

/// Pairwise accuracy with its Wilson interval at [`CONFIDENCE`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// The counts, the share and the rule for ties.
    pub agreement: Agreement,
    /// The interval of the share.
    pub interval: Interval,
}

impl Accuracy {
    /// Measures (chosen, rejected) numbers; nothing when no pair counts.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`] for NaN or an infinity.
    ///
    /// # Examples
    /// ```
    /// use critic_eval::Accuracy;
    /// use critic_stats::TieRule;
    /// let accuracy = Accuracy::of(&[(1.0, 0.0), (0.0, 1.0)], TieRule::Wrong)?.expect("two pairs");
    /// assert_eq!(accuracy.agreement.accuracy, 0.5);
    /// assert_eq!(Accuracy::of(&[], TieRule::Wrong)?, None);
    /// # Ok::<(), critic_stats::StatsError>(())
    /// ```
    pub fn of(pairs: &[(f64, f64)], tie_rule: TieRule) -> Result<Option<Self>, StatsError> {
        let agreement = match pairwise_accuracy(pairs, tie_rule) {
            Ok(agreement) => agreement,
            Err(StatsError::Empty { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Self { agreement, interval: agreement.interval(CONFIDENCE)? }))
    }

    /// The pairs that were read: those that count and the ties that the rule leaves out.
    pub fn n_scored(&self) -> usize {
        let n_excluded = match self.agreement.tie_rule {
            TieRule::Exclude => self.agreement.n_ties,
            TieRule::Wrong | TieRule::Half => 0,
        };
        self.agreement.n + n_excluded
    }
}
