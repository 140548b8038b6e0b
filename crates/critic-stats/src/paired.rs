use crate::error::all_finite;
use crate::{Bootstrap, Interval, StatsError, bootstrap_interval};
use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;

/// How much larger the mean of one list is than that of another over the same items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// mean(a) − mean(b).
    pub difference: f64,
    /// Its bootstrap interval; items are resampled, so each item keeps both its values.
    pub interval: Interval,
}

/// The difference of two means over the same items, with its percentile bootstrap interval.
///
/// # Errors
/// [`StatsError::Lengths`] when the lists differ in length, and those of [`bootstrap_interval`].
///
/// # Examples
/// ```
/// use critic_stats::{Bootstrap, paired_bootstrap};
/// use critic_types::SeedTree;
/// let (a, b) = ([1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]);
/// let gain = paired_bootstrap(&a, &b, &Bootstrap::new(SeedTree::new(0)))?;
/// assert_eq!(gain.difference, 0.5);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn paired_bootstrap(
    a: &[f64],
    b: &[f64],
    bootstrap: &Bootstrap,
) -> Result<PairedDifference, StatsError> {
    if a.len() != b.len() {
        return Err(StatsError::Lengths { left: a.len(), right: b.len() });
    }
    all_finite("first value", a)?;
    all_finite("second value", b)?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let interval = bootstrap_interval(&differences, bootstrap)?;
    Ok(PairedDifference {
        difference: differences.iter().sum::<f64>() / differences.len() as f64,
        interval,
    })
}

/// McNemar's exact test: the two-sided p-value that the two kinds of disagreement are equally likely.
///
/// `only_a` items are right in a alone, `only_b` in b alone. Twice the smaller tail of the binomial
/// distribution with `only_a + only_b` trials at ½, at most 1; without any disagreement 1.
///
/// # Examples
/// ```
/// assert_eq!(critic_stats::mcnemar(5, 5), 1.0);
/// assert!((critic_stats::mcnemar(0, 5) - 0.0625).abs() < 1e-15); // 2 · ½⁵
/// ```
pub fn mcnemar(only_a: u64, only_b: u64) -> f64 {
    let (smaller, n) = (only_a.min(only_b), only_a + only_b);
    if only_a == only_b {
        return 1.0;
    }
    // Σ_{i ≤ k} C(n, i) = C(n, k) · (1 + k/(n−k+1) + …): every term comes from the one before.
    let (mut term, mut sum) = (1.0f64, 1.0f64);
    for i in (1..=smaller).rev() {
        term *= i as f64 / (n - i + 1) as f64;
        sum += term;
        if term < f64::EPSILON * sum {
            break;
        }
    }
    let ln_choose = ln_gamma(n as f64 + 1.0)
        - ln_gamma(smaller as f64 + 1.0)
        - ln_gamma((n - smaller) as f64 + 1.0);
    let ln_largest = ln_choose - n as f64 * std::f64::consts::LN_2;
    (2.0 * ln_largest.exp() * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::SeedTree;
    use proptest::prelude::*;

    fn bootstrap() -> Bootstrap {
        Bootstrap { n_resamples: 2000, ..Bootstrap::new(SeedTree::new(1)) }
    }

    #[test]
    fn identical_lists_do_not_differ_at_all() {
        let a = [0.0, 1.0, 1.0, 0.5];
        let difference = paired_bootstrap(&a, &a, &bootstrap()).unwrap();
        let Interval { low, high, .. } = difference.interval;
        assert_eq!((difference.difference, low, high), (0.0, 0.0, 0.0));
    }

    #[test]
    fn pairing_narrows_the_interval() {
        let hard: Vec<f64> = (0..200).map(|i| f64::from(i % 20)).collect();
        let better: Vec<f64> = hard.iter().map(|v| v + 1.0).collect();
        let paired = paired_bootstrap(&better, &hard, &bootstrap()).unwrap();
        let alone = bootstrap_interval(&better, &bootstrap()).unwrap();
        assert!(paired.interval.high - paired.interval.low < 1e-9);
        assert!(alone.high - alone.low > 1.0);
    }

    #[test]
    fn lists_of_different_lengths_are_refused() {
        let error = paired_bootstrap(&[1.0], &[], &bootstrap()).unwrap_err();
        assert!(error.to_string().contains("1 and 0 items"));
        assert!(paired_bootstrap(&[f64::NAN], &[0.0], &bootstrap()).is_err());
    }

    #[test]
    fn no_disagreement_gives_no_evidence() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(7, 7), 1.0);
    }

    #[test]
    fn the_test_is_that_of_scipy() {
        // scipy.stats.binomtest(only_a, only_a + only_b, 0.5).pvalue, SciPy 1.17.1.
        let cases = [
            (34, 19, 0.053438810537711046),
            (82, 36, 2.7583788780912003e-5),
            (0, 9, 0.00390625),
            (700, 612, 0.016278345620440816),
        ];
        for (only_a, only_b, p) in cases {
            assert!((mcnemar(only_a, only_b) / p - 1.0).abs() < 1e-10, "{only_a} {only_b}");
        }
    }

    #[test]
    fn far_tails_stay_positive() {
        let p = mcnemar(100, 900);
        assert!(p > 0.0 && p < 1e-150, "{p}");
        assert_eq!(mcnemar(0, 10_000), 0.0);
    }

    proptest! {
        #[test]
        fn the_test_is_symmetric_and_sums_the_binomial(a in 0u64..25, b in 0u64..25) {
            let n = a + b;
            let choose = |k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
            let tail: f64 = (0..=a.min(b)).map(choose).sum::<f64>() / 2f64.powi(n as i32);
            prop_assert!((mcnemar(a, b) - (2.0 * tail).min(1.0)).abs() < 1e-12);
            prop_assert_eq!(mcnemar(a, b), mcnemar(b, a));
        }
    }
}
