use critic_stats::StatsError;
use critic_types::Side;

/// Why contestants could not be measured.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// A prediction is NaN or infinite.
    #[error(
        "`{contestant}` predicts {value} for the {} response of pair `{pair_id}`; predictions must be finite: leave a failed one out, it is then counted as missing",
        side.as_str()
    )]
    NotFinite {
        /// Whose prediction.
        contestant: String,
        /// The pair.
        pair_id: String,
        /// The response.
        side: Side,
        /// What was found.
        value: f64,
    },
    /// Two contestants have no pair on which both can be read.
    #[error(
        "`{a}` and `{b}` have no pair in common on which both count; compare contestants on the same pairs"
    )]
    NothingInCommon {
        /// The first.
        a: String,
        /// The second.
        b: String,
    },
    /// A control has nothing to learn from.
    #[error(
        "the bag-of-words control has no training pairs; give it the pairs that the reward model was trained on"
    )]
    NoTrainingPairs,
    /// A statistic failed.
    #[error("measuring `{contestant}`")]
    Statistic {
        /// Whose.
        contestant: String,
        /// Why.
        #[source]
        source: StatsError,
    },
}
