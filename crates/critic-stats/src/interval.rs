use crate::StatsError;
use crate::error::valid_confidence;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Two-sided confidence, in (0, 1).
    pub confidence: f64,
}

/// The Wilson score interval of a share `successes / n`, without continuity correction; within `[0, 1]`.
///
/// Wilson 1927. `successes` may be fractional, as it is when a tie counts half.
///
/// # Errors
/// [`StatsError::Empty`] for n = 0, [`StatsError::Successes`] when `successes` is not in `[0, n]`,
/// [`StatsError::Confidence`] when `confidence` is outside (0, 1).
///
/// # Examples
/// ```
/// let interval = critic_stats::wilson_interval(8.0, 10, 0.95)?;
/// assert!((interval.low - 0.490_162).abs() < 1e-6 && (interval.high - 0.943_318).abs() < 1e-6);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn wilson_interval(successes: f64, n: usize, confidence: f64) -> Result<Interval, StatsError> {
    valid_confidence(confidence)?;
    if n == 0 {
        return Err(StatsError::Empty { what: "Wilson interval" });
    }
    let trials = n as f64;
    if !(0.0..=trials).contains(&successes) {
        return Err(StatsError::Successes { successes, n });
    }
    // The lower quantile keeps the digits of a confidence close to 1.
    let z = -Normal::standard().inverse_cdf((1.0 - confidence) / 2.0);
    let share = successes / trials;
    let shrink = 1.0 + z * z / trials;
    let center = (share + z * z / (2.0 * trials)) / shrink;
    let half_width =
        z / shrink * (share * (1.0 - share) / trials + z * z / (4.0 * trials * trials)).sqrt();
    // At the ends the formula gives 0 and 1 but for rounding.
    let low = if successes == 0.0 { 0.0 } else { (center - half_width).max(0.0) };
    let high = if successes == trials { 1.0 } else { (center + half_width).min(1.0) };
    Ok(Interval { low, high, confidence })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_right_is_not_certain() {
        let interval = wilson_interval(10.0, 10, 0.95).unwrap();
        assert_eq!(interval.high, 1.0);
        assert!((interval.low - 0.722_467_200_137_107).abs() < 1e-12, "{interval:?}");
        assert_eq!(wilson_interval(0.0, 10, 0.95).unwrap().low, 0.0);
    }

    #[test]
    fn the_interval_is_that_of_scipy() {
        // scipy.stats.binomtest(k, n).proportion_ci(confidence, "wilson"), SciPy 1.17.1.
        let cases = [
            ((8.0, 10, 0.95), (0.4901624715366418, 0.9433178485456248)),
            ((222.0, 318, 0.95), (0.6455380897747337, 0.7459590170979943)),
            ((0.0, 25, 0.9), (0.0, 0.09765350600605098)),
            ((1999.0, 2985, 0.99), (0.6471527542530113, 0.6914580839715767)),
        ];
        for ((successes, n, confidence), (low, high)) in cases {
            let interval = wilson_interval(successes, n, confidence).unwrap();
            assert!((interval.low - low).abs() < 1e-12, "{interval:?}");
            assert!((interval.high - high).abs() < 1e-12, "{interval:?}");
        }
    }

    #[test]
    fn bad_arguments_are_named() {
        let message = |result: Result<Interval, StatsError>| result.unwrap_err().to_string();
        assert!(message(wilson_interval(0.0, 0, 0.95)).contains("no items"));
        assert!(message(wilson_interval(11.0, 10, 0.95)).contains("11 successes of 10"));
        assert!(message(wilson_interval(f64::NAN, 10, 0.95)).contains("NaN successes"));
        for confidence in [0.0, 1.0, 95.0, f64::NAN] {
            assert!(message(wilson_interval(1.0, 2, confidence)).contains("outside (0, 1)"));
        }
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_share(n in 1usize..5000, part in 0.0f64..=1.0, confidence in 0.5f64..0.999) {
            let successes = (part * n as f64).floor();
            let interval = wilson_interval(successes, n, confidence).unwrap();
            let share = successes / n as f64;
            prop_assert!(interval.low <= share + 1e-12 && share <= interval.high + 1e-12);
            prop_assert!((0.0..=1.0).contains(&interval.low) && (0.0..=1.0).contains(&interval.high));
        }
    }
}
