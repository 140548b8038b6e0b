use crate::StatsError;
use crate::error::all_finite;
use serde::{Deserialize, Serialize};

/// How the variance of values in groups splits: x = mean + group + rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VarianceComponents {
    /// Groups with at least one value.
    pub n_groups: usize,
    /// Values of all groups.
    pub n_values: usize,
    /// Variance of the group effects, at least 0.
    pub between: f64,
    /// Variance within groups.
    pub within: f64,
    /// Intraclass correlation of two values of a group; below zero when values of a group differ more
    /// than those of different groups.
    pub intraclass_correlation: f64,
}

/// One-way random effects by analysis of variance, groups of any size.
///
/// With the mean squares B between and W within groups and n₀ = (N − Σ nᵢ² / N) / (k − 1):
/// between = max(0, (B − W) / n₀), within = W, and the intraclass correlation
/// (B − W) / (B + (n₀ − 1) · W), which is ICC(1,1) of Shrout and Fleiss 1979 for groups of one size and
/// is left unclipped. For critiques a group is a response and a value the reward after one critique.
/// Empty groups are passed over.
///
/// # Errors
/// [`StatsError::TooFew`] without two groups or without a group of two values,
/// [`StatsError::Constant`] when all values are equal, [`StatsError::NotFinite`] (the index counts
/// values in the order of the groups).
///
/// # Examples
/// ```
/// use critic_stats::variance_components;
/// let parts = variance_components(&[vec![1.0, 1.0], vec![5.0, 5.0]])?;
/// assert_eq!((parts.within, parts.intraclass_correlation), (0.0, 1.0));
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn variance_components(groups: &[Vec<f64>]) -> Result<VarianceComponents, StatsError> {
    let all: Vec<f64> = groups.iter().flatten().copied().collect();
    all_finite("grouped value", &all)?;
    let groups: Vec<&Vec<f64>> = groups.iter().filter(|group| !group.is_empty()).collect();
    let (k, n) = (groups.len(), all.len());
    if k < 2 {
        return Err(StatsError::TooFew { what: "variance between groups", needed: 2, found: k });
    }
    if n == k {
        return Err(StatsError::TooFew { what: "the largest group", needed: 2, found: 1 });
    }
    if all.iter().all(|value| *value == all[0]) {
        return Err(StatsError::Constant { what: "all groups" });
    }
    let grand_mean = all.iter().sum::<f64>() / n as f64;
    let (mut squares_between, mut squares_within, mut sizes_squared) = (0.0, 0.0, 0.0);
    for group in &groups {
        let size = group.len() as f64;
        let mean = group.iter().sum::<f64>() / size;
        squares_between += size * (mean - grand_mean).powi(2);
        squares_within += group.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        sizes_squared += size * size;
    }
    let between = squares_between / (k - 1) as f64;
    let within = squares_within / (n - k) as f64;
    let n0 = (n as f64 - sizes_squared / n as f64) / (k - 1) as f64;
    Ok(VarianceComponents {
        n_groups: k,
        n_values: n,
        between: ((between - within) / n0).max(0.0),
        within,
        intraclass_correlation: (between - within) / (between + (n0 - 1.0) * within),
    })
}

/// How many independent critiques m correlated ones are worth: m / (1 + (m − 1) · ρ), in `[1, m]`.
///
/// The variance of their mean, in relation to that of one. ρ is the correlation of two of them about
/// **what is to be measured**: for rewards of one response, correlated errors cannot be seen, so the
/// intraclass correlation is an upper bound of agreement and not of truth. A ρ below zero counts as 0.
///
/// # Errors
/// [`StatsError::TooFew`] for m = 0, [`StatsError::NotFinite`] for a ρ that is NaN or above 1.
///
/// # Examples
/// ```
/// use critic_stats::effective_sample_size;
/// assert_eq!(effective_sample_size(16, 0.0)?, 16.0);
/// assert_eq!(effective_sample_size(16, 1.0)?, 1.0);
/// assert!((effective_sample_size(16, 0.5)? - 1.882_352_941).abs() < 1e-9);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn effective_sample_size(m: usize, correlation: f64) -> Result<f64, StatsError> {
    if m == 0 {
        return Err(StatsError::TooFew { what: "effective sample size", needed: 1, found: 0 });
    }
    if correlation.is_nan() || correlation > 1.0 {
        let what = "correlation (at most 1)";
        return Err(StatsError::NotFinite { what, index: 0, value: correlation });
    }
    Ok(m as f64 / (1.0 + (m - 1) as f64 * correlation.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_cannot_be_split_is_an_error() {
        assert!(variance_components(&[]).is_err());
        assert!(variance_components(&[vec![1.0, 2.0]]).is_err());
        assert!(variance_components(&[vec![1.0], vec![2.0]]).is_err());
        assert!(variance_components(&[vec![], vec![1.0, 2.0]]).is_err());
        let equal = variance_components(&[vec![3.0, 3.0], vec![3.0]]);
        assert!(matches!(equal, Err(StatsError::Constant { .. })));
        let nan = variance_components(&[vec![1.0, 2.0], vec![f64::NAN]]).unwrap_err();
        assert!(nan.to_string().contains("value number 2 is NaN"), "{nan}");
        assert!(effective_sample_size(0, 0.5).is_err() && effective_sample_size(4, 1.5).is_err());
    }

    #[test]
    fn disagreement_within_groups_alone_is_a_negative_correlation() {
        let parts = variance_components(&[vec![-1.0, 1.0], vec![1.0, -1.0]]).unwrap();
        assert_eq!((parts.between, parts.within), (0.0, 2.0));
        assert_eq!(parts.intraclass_correlation, -1.0);
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_the_correlation_is_bounded(
            mut groups in prop::collection::vec(prop::collection::vec(-5i32..6, 1..6), 2..8),
        ) {
            let of = |groups: &[Vec<i32>]| {
                let groups: Vec<Vec<f64>> =
                    groups.iter().map(|g| g.iter().map(|&v| f64::from(v)).collect()).collect();
                variance_components(&groups)
            };
            let Ok(forward) = of(&groups) else { return Ok(()) };
            prop_assert!(forward.intraclass_correlation <= 1.0 + 1e-12);
            prop_assert!(forward.between >= 0.0 && forward.within >= 0.0);
            groups.reverse();
            groups.iter_mut().for_each(|group| group.reverse());
            let backward = of(&groups).unwrap();
            prop_assert!((forward.intraclass_correlation - backward.intraclass_correlation).abs() < 1e-9);
            prop_assert!((forward.between - backward.between).abs() < 1e-9);
        }
    }
}
