use crate::error::{all_finite, same_length};
use crate::{
    Bootstrap, Clusters, Interval, StatsError, bootstrap_interval, clustered_bootstrap_interval,
};
use serde::{Deserialize, Serialize};

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
    let differences = differences(a, b)?;
    let interval = bootstrap_interval(&differences, bootstrap)?;
    Ok(PairedDifference { difference: mean(&differences), interval })
}

/// The difference of two means over the same items, drawing whole clusters of items.
///
/// # Errors
/// [`StatsError::Lengths`] when the lists or the clusters differ in length, and those of
/// [`clustered_bootstrap_interval`].
pub fn clustered_paired_bootstrap(
    a: &[f64],
    b: &[f64],
    clusters: &Clusters,
    bootstrap: &Bootstrap,
) -> Result<PairedDifference, StatsError> {
    let differences = differences(a, b)?;
    let interval = clustered_bootstrap_interval(&differences, clusters, bootstrap)?;
    Ok(PairedDifference { difference: mean(&differences), interval })
}

fn differences(a: &[f64], b: &[f64]) -> Result<Vec<f64>, StatsError> {
    same_length(a.len(), b.len())?;
    all_finite("first value", a)?;
    all_finite("second value", b)?;
    Ok(a.iter().zip(b).map(|(a, b)| a - b).collect())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::SeedTree;

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
    fn clusters_of_one_change_nothing_and_larger_ones_widen() {
        let a: Vec<f64> = (0..60).map(|i| f64::from(i / 3 % 2)).collect();
        let b = vec![0.5; 60];
        let plain = paired_bootstrap(&a, &b, &bootstrap()).unwrap();
        let singles =
            clustered_paired_bootstrap(&a, &b, &Clusters::singletons(60), &bootstrap()).unwrap();
        assert_eq!(plain, singles);
        let triples = Clusters::by_key((0..60).map(|i| i / 3));
        let wide = clustered_paired_bootstrap(&a, &b, &triples, &bootstrap()).unwrap();
        let width = |d: &PairedDifference| d.interval.high - d.interval.low;
        assert!(width(&wide) > 1.4 * width(&plain));
        assert!(clustered_paired_bootstrap(&a, &b[1..], &triples, &bootstrap()).is_err());
    }
}
