use crate::StatsError;
use crate::error::all_finite;
use critic_types::SeedTree;
use rand_chacha::rand_core::RngCore;
use serde::{Deserialize, Serialize};

/// What a paired permutation test found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PermutationTest {
    /// Two-sided p-value, in (0, 1].
    pub p: f64,
    /// Whether every assignment of signs was looked at, or a sample of them.
    pub exact: bool,
    /// Assignments that were looked at.
    pub n_assignments: usize,
}

/// The paired permutation test: the chance of a mean difference at least as far from zero when each
/// item's two values could as well be swapped.
///
/// `differences` are a − b for each item; items that belong together enter as their sum
/// ([`Clusters::sums`](crate::Clusters::sums)), for they are swapped together. Fisher 1935.
/// When the differences that are not zero have at most `n_resamples` assignments of signs, all are
/// looked at and the p-value is exact; otherwise `n_resamples` are drawn and p = (1 + hits) / (1 +
/// draws), which is never zero (Phipson and Smyth 2010). Sums within 1e-14 of the observed one, in
/// relation, count as equal to it.
///
/// # Errors
/// [`StatsError::Empty`], [`StatsError::NotFinite`], [`StatsError::NoResamples`].
///
/// # Examples
/// ```
/// use critic_stats::paired_permutation_test;
/// use critic_types::SeedTree;
/// let test = paired_permutation_test(&[1.0, 1.0, 0.0, 1.0], 1000, SeedTree::new(0))?;
/// assert!(test.exact);
/// assert_eq!(test.p, 0.25); // two of the 2³ assignments are as far from zero
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn paired_permutation_test(
    differences: &[f64],
    n_resamples: usize,
    seed: SeedTree,
) -> Result<PermutationTest, StatsError> {
    all_finite("difference", differences)?;
    if differences.is_empty() {
        return Err(StatsError::Empty { what: "permutation test" });
    }
    if n_resamples == 0 {
        return Err(StatsError::NoResamples);
    }
    let moved: Vec<f64> = differences.iter().copied().filter(|&d| d != 0.0).collect();
    let observed = moved.iter().sum::<f64>().abs();
    let bar = observed - 1e-14 * observed.max(1.0);
    let n_all = u32::try_from(moved.len()).ok().and_then(|n| 1usize.checked_shl(n));
    if let Some(n_all) = n_all.filter(|&n_all| n_all <= n_resamples) {
        let hits = hits_of_all(&moved, 0.0, bar);
        return Ok(PermutationTest {
            p: hits as f64 / n_all as f64,
            exact: true,
            n_assignments: n_all,
        });
    }
    let hits =
        (0..n_resamples).filter(|&i| signed_sum(&moved, seed.index(i as u64)).abs() >= bar).count();
    let p = (hits + 1) as f64 / (n_resamples + 1) as f64;
    Ok(PermutationTest { p, exact: false, n_assignments: n_resamples })
}

/// How many assignments of signs to `rest` bring the sum to `bar` or further from zero.
fn hits_of_all(rest: &[f64], sum: f64, bar: f64) -> usize {
    match rest.split_first() {
        None => usize::from(sum.abs() >= bar),
        Some((first, rest)) => {
            hits_of_all(rest, sum + first, bar) + hits_of_all(rest, sum - first, bar)
        }
    }
}

/// The sum under one draw of signs.
fn signed_sum(values: &[f64], seed: SeedTree) -> f64 {
    let mut rng = seed.rng();
    let mut sum = 0.0;
    for part in values.chunks(64) {
        let mut signs = rng.next_u64();
        for value in part {
            sum += if signs & 1 == 1 { *value } else { -value };
            signs >>= 1;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn drawing_comes_near_counting() {
        let differences: Vec<f64> = (0..14).map(|i| f64::from(i % 5) - 1.2).collect();
        let all = paired_permutation_test(&differences, 1 << 14, SeedTree::new(1)).unwrap();
        let drawn = paired_permutation_test(&differences, (1 << 14) - 1, SeedTree::new(1)).unwrap();
        assert!(all.exact && !drawn.exact);
        assert!((all.p - drawn.p).abs() < 0.015, "{all:?} {drawn:?}");
    }

    #[test]
    fn on_right_and_wrong_it_is_the_sign_test() {
        let differences = [vec![1.0; 9], vec![-1.0; 3], vec![0.0; 40]].concat();
        let test = paired_permutation_test(&differences, 10_000, SeedTree::new(0)).unwrap();
        assert!((test.p - crate::mcnemar::exact(9, 3)).abs() < 1e-12);
    }

    #[test]
    fn equal_contestants_give_no_evidence() {
        let test = paired_permutation_test(&[0.0, 0.0], 100, SeedTree::new(0)).unwrap();
        assert_eq!((test.p, test.exact), (1.0, true));
        assert!(paired_permutation_test(&[], 100, SeedTree::new(0)).is_err());
        assert!(paired_permutation_test(&[f64::NAN], 100, SeedTree::new(0)).is_err());
        assert!(paired_permutation_test(&[1.0], 0, SeedTree::new(0)).is_err());
        let many = paired_permutation_test(&[1.0; 300], 99, SeedTree::new(0)).unwrap();
        assert_eq!((many.p, many.exact), (0.01, false));
    }

    proptest! {
        #[test]
        fn order_and_direction_do_not_matter(mut d in prop::collection::vec(-4i32..5, 1..10)) {
            let p = |d: &[i32], sign: f64| {
                let d: Vec<f64> = d.iter().map(|&v| sign * f64::from(v)).collect();
                paired_permutation_test(&d, 1024, SeedTree::new(0)).unwrap().p
            };
            let forward = p(&d, 1.0);
            prop_assert!(forward > 0.0 && forward <= 1.0);
            prop_assert_eq!(forward, p(&d, -1.0));
            d.reverse();
            prop_assert_eq!(forward, p(&d, 1.0));
        }
    }
}
