/// Why a statistic could not be taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StatsError {
    /// There is nothing to take it over.
    #[error("{what} has no items; a rate or a mean needs at least one")]
    Empty {
        /// The statistic.
        what: &'static str,
    },
    /// A value is NaN or infinite.
    #[error(
        "{what} number {index} is {value}; every value must be finite: leave the item out and count it"
    )]
    NotFinite {
        /// What the values are.
        what: &'static str,
        /// Its place, from 0.
        index: usize,
        /// What was found.
        value: f64,
    },
    /// A confidence is not a probability strictly between 0 and 1.
    #[error("confidence {confidence} is outside (0, 1); use 0.95 for 95 %")]
    Confidence {
        /// What was asked for.
        confidence: f64,
    },
    /// More successes than trials, or fewer than none.
    #[error("{successes} successes of {n} trials is impossible; give between 0 and {n}")]
    Successes {
        /// What was given.
        successes: f64,
        /// The trials.
        n: usize,
    },
    /// Two lists that belong together item by item differ in length.
    #[error(
        "paired lists have {left} and {right} items; give both for the same items, in the same order"
    )]
    Lengths {
        /// Items of the first.
        left: usize,
        /// Items of the second.
        right: usize,
    },
    /// A bootstrap or a permutation test without resamples.
    #[error("0 resamples say nothing; use at least 1, better 10000")]
    NoResamples,
    /// Every value is the same where the statistic needs them to differ.
    #[error("all values of {what} are equal; leave the statistic out, it is not defined here")]
    Constant {
        /// The values.
        what: &'static str,
    },
    /// A statistic needs more items than there are.
    #[error("{what} needs at least {needed} items and has {found}")]
    TooFew {
        /// The statistic.
        what: &'static str,
        /// How many it needs.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// A value that must be a probability is not one.
    #[error("{what} number {index} is {value}; it must be between 0 and 1")]
    Probability {
        /// What the values are.
        what: &'static str,
        /// Its place, from 0.
        index: usize,
        /// What was found.
        value: f64,
    },
    /// A histogram or a reliability diagram without bins.
    #[error("0 bins hold nothing; use at least 1, commonly 10 or 20")]
    NoBins,
    /// No finite positive temperature minimizes the log loss.
    #[error(
        "no temperature fits these {n} margins: {n_wrong} are negative and their mean is {mean}; a fit needs a positive mean and at least one negative margin: use more pairs"
    )]
    NoTemperature {
        /// The margins.
        n: usize,
        /// Those below zero.
        n_wrong: usize,
        /// Their mean.
        mean: f64,
    },
}

/// Refuses the first value outside `[0, 1]`, NaN included.
pub(crate) fn all_probabilities(what: &'static str, values: &[f64]) -> Result<(), StatsError> {
    match values.iter().position(|value| !(0.0..=1.0).contains(value)) {
        Some(index) => Err(StatsError::Probability { what, index, value: values[index] }),
        None => Ok(()),
    }
}

/// Refuses two lists of different lengths.
pub(crate) fn same_length(left: usize, right: usize) -> Result<(), StatsError> {
    if left == right { Ok(()) } else { Err(StatsError::Lengths { left, right }) }
}

/// Refuses the first value that is NaN or infinite.
pub(crate) fn all_finite(what: &'static str, values: &[f64]) -> Result<(), StatsError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(StatsError::NotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}

/// Refuses a confidence that is not strictly between 0 and 1.
pub(crate) fn valid_confidence(confidence: f64) -> Result<(), StatsError> {
    if confidence > 0.0 && confidence < 1.0 {
        Ok(())
    } else {
        Err(StatsError::Confidence { confidence })
    }
}
