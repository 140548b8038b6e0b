//! McNemar's test (1947): whether two contestants' disagreements are evenly split.
//!
//! `only_a` items are right in a alone, `only_b` in b alone; the items on which both agree say nothing.
//! All three forms are two-sided, symmetric, and 1 without any disagreement.
//! [`exact`] never errs on the bold side and is what comparisons print; [`mid_p`] is less shy with few
//! disagreements (Fagerland, Lydersen and Laake 2013); [`continuity_corrected`] is what many papers print.

use statrs::function::erf::erfc;
use statrs::function::gamma::ln_gamma;

/// The exact p-value: twice the smaller tail of the binomial distribution at ½, at most 1.
///
/// # Examples
/// ```
/// use critic_stats::mcnemar;
/// assert_eq!(mcnemar::exact(5, 5), 1.0);
/// assert!((mcnemar::exact(0, 5) - 0.0625).abs() < 1e-15); // 2 · ½⁵
/// ```
pub fn exact(only_a: u64, only_b: u64) -> f64 {
    if only_a == only_b {
        return 1.0;
    }
    let Tail { sum, .. } = tail(only_a, only_b);
    (2.0 * sum).min(1.0)
}

/// The mid-p-value: the exact one with the observed split counted half, 2·P(X ≤ k) − P(X = k).
///
/// # Examples
/// ```
/// use critic_stats::mcnemar;
/// assert!((mcnemar::mid_p(0, 5) - 0.03125).abs() < 1e-15);
/// assert_eq!(mcnemar::mid_p(5, 5), 1.0);
/// ```
pub fn mid_p(only_a: u64, only_b: u64) -> f64 {
    if only_a == only_b {
        return 1.0;
    }
    let Tail { sum, largest } = tail(only_a, only_b);
    (2.0 * sum - largest).min(1.0)
}

/// The χ² p-value with Edwards' continuity correction: (|b − c| − 1)² / (b + c), one degree of freedom.
///
/// An even split gives 1: the correction does not push it past zero.
pub fn continuity_corrected(only_a: u64, only_b: u64) -> f64 {
    let distance = only_a.abs_diff(only_b).saturating_sub(1) as f64;
    if distance == 0.0 {
        return 1.0;
    }
    let chi_square = distance * distance / (only_a as f64 + only_b as f64);
    erfc((chi_square / 2.0).sqrt())
}

/// The lower tail of Binomial(n, ½) up to the smaller count, and its last term.
struct Tail {
    sum: f64,
    largest: f64,
}

fn tail(only_a: u64, only_b: u64) -> Tail {
    let (smaller, n) = (only_a.min(only_b), only_a + only_b);
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
    let largest = (ln_choose - n as f64 * std::f64::consts::LN_2).exp();
    Tail { sum: largest * sum, largest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_disagreement_gives_no_evidence() {
        for test in [exact, mid_p, continuity_corrected] {
            assert_eq!(test(0, 0), 1.0);
            assert_eq!(test(7, 7), 1.0);
        }
        assert_eq!(continuity_corrected(1, 0), 1.0);
    }

    #[test]
    fn far_tails_stay_positive() {
        let p = exact(100, 900);
        assert!(p > 0.0 && p < 1e-150, "{p}");
        assert_eq!(exact(0, 10_000), 0.0);
    }

    proptest! {
        #[test]
        fn the_test_is_symmetric_and_sums_the_binomial(a in 0u64..25, b in 0u64..25) {
            let n = a + b;
            let choose = |k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
            let sum: f64 = (0..=a.min(b)).map(choose).sum::<f64>() / 2f64.powi(n as i32);
            prop_assert!((exact(a, b) - (2.0 * sum).min(1.0)).abs() < 1e-12);
            for test in [exact, mid_p, continuity_corrected] {
                prop_assert_eq!(test(a, b), test(b, a));
            }
            prop_assert!(mid_p(a, b) <= exact(a, b));
        }
    }
}
