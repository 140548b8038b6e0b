use crate::error::{all_finite, same_length};
use crate::{Bootstrap, Interval, StatsError, bootstrap_statistic, wilson_interval};
use std::collections::BTreeMap;

/// Which items belong together, such as the pairs of one prompt: they are drawn together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    of_item: Vec<usize>,
    n_clusters: usize,
}

impl Clusters {
    /// Items with equal keys form a cluster; clusters are numbered as they first appear.
    ///
    /// # Examples
    /// ```
    /// let clusters = critic_stats::Clusters::by_key(["why?", "how?", "why?"]);
    /// assert_eq!((clusters.n_items(), clusters.n_clusters()), (3, 2));
    /// ```
    pub fn by_key<K: Ord>(keys: impl IntoIterator<Item = K>) -> Self {
        let mut numbers = BTreeMap::new();
        let of_item = keys
            .into_iter()
            .map(|key| {
                let next = numbers.len();
                *numbers.entry(key).or_insert(next)
            })
            .collect();
        Self { of_item, n_clusters: numbers.len() }
    }

    /// Every item for itself.
    pub fn singletons(n_items: usize) -> Self {
        Self { of_item: (0..n_items).collect(), n_clusters: n_items }
    }

    /// How many items there are.
    pub fn n_items(&self) -> usize {
        self.of_item.len()
    }

    /// How many clusters they form.
    pub fn n_clusters(&self) -> usize {
        self.n_clusters
    }

    /// The clusters of some of the items, given by index.
    pub(crate) fn of(&self, items: &[usize]) -> Self {
        Self::by_key(items.iter().map(|&item| self.of_item[item]))
    }

    /// The sum of the values of each cluster, by cluster number.
    ///
    /// # Errors
    /// [`StatsError::Lengths`] when there is not one value for each item.
    pub fn sums(&self, values: &[f64]) -> Result<Vec<f64>, StatsError> {
        same_length(values.len(), self.n_items())?;
        let mut sums = vec![0.0; self.n_clusters];
        for (&cluster, value) in self.of_item.iter().zip(values) {
            sums[cluster] += value;
        }
        Ok(sums)
    }
}

/// The percentile bootstrap interval of the mean over items, drawing whole clusters.
///
/// A resample draws as many clusters as there are and divides the sum of their values by the number of
/// their items. With clusters of one item it is [`bootstrap_interval`](crate::bootstrap_interval), draw
/// for draw.
///
/// # Errors
/// [`StatsError::Lengths`] when there is not one value for each item, [`StatsError::Empty`],
/// [`StatsError::NotFinite`], [`StatsError::NoResamples`], [`StatsError::Confidence`].
pub fn clustered_bootstrap_interval(
    values: &[f64],
    clusters: &Clusters,
    bootstrap: &Bootstrap,
) -> Result<Interval, StatsError> {
    clustered_ratio_interval(values, &vec![1.0; values.len()], clusters, bootstrap)
}

/// An interval of the mean of shares (numbers within 0 and 1), drawing whole clusters.
///
/// [`clustered_bootstrap_interval`]; where every cluster has the same mean, so that no draw differs from
/// another and the bootstrap would be sure of itself, [`wilson_interval`] with the clusters as trials.
///
/// # Errors
/// As [`clustered_bootstrap_interval`], and [`StatsError::Successes`] when the mean is no share.
///
/// # Examples
/// ```
/// use critic_stats::{Bootstrap, Clusters, clustered_share_interval};
/// use critic_types::SeedTree;
/// let bootstrap = Bootstrap::new(SeedTree::new(0));
/// let two_of_two = clustered_share_interval(&[1.0, 1.0], &Clusters::singletons(2), &bootstrap)?;
/// assert!(two_of_two.low < 0.35 && two_of_two.high == 1.0);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn clustered_share_interval(
    values: &[f64],
    clusters: &Clusters,
    bootstrap: &Bootstrap,
) -> Result<Interval, StatsError> {
    let drawn = clustered_bootstrap_interval(values, clusters, bootstrap)?;
    let (sums, sizes) = (clusters.sums(values)?, clusters.sums(&vec![1.0; values.len()])?);
    let mut shares = sums.iter().zip(sizes).map(|(sum, size)| sum / size);
    match shares.next() {
        Some(share) if shares.all(|other| other == share) => {
            let n = clusters.n_clusters();
            wilson_interval(share * n as f64, n, bootstrap.confidence)
        }
        _ => Ok(drawn),
    }
}

/// The percentile bootstrap interval of Σ values / Σ weights over items, drawing whole clusters.
pub(crate) fn clustered_ratio_interval(
    values: &[f64],
    weights: &[f64],
    clusters: &Clusters,
    bootstrap: &Bootstrap,
) -> Result<Interval, StatsError> {
    all_finite("bootstrap value", values)?;
    let (sums, weights) = (clusters.sums(values)?, clusters.sums(weights)?);
    bootstrap_statistic(clusters.n_clusters, bootstrap, |drawn| {
        let (sum, weight) = drawn.iter().fold((0.0, 0.0), |(sum, weight), &cluster| {
            (sum + sums[cluster], weight + weights[cluster])
        });
        sum / weight
    })
}

/// The standard error of the mean over items when those of a cluster go together.
///
/// √(G/(G−1) · Σ_g (Σ_{i ∈ g} (xᵢ − x̄))²) / n for G clusters and n items: the sandwich estimator of an
/// intercept (Liang and Zeger 1986) with statsmodels' small-sample factor.
///
/// # Errors
/// [`StatsError::TooFew`] for fewer than two clusters, [`StatsError::Lengths`],
/// [`StatsError::NotFinite`].
///
/// # Examples
/// ```
/// use critic_stats::{Clusters, clustered_standard_error};
/// let answers = [1.0, 1.0, 0.0, 0.0];
/// let alone = clustered_standard_error(&answers, &Clusters::singletons(4))?;
/// let twins = clustered_standard_error(&answers, &Clusters::by_key([0, 0, 1, 1]))?;
/// assert!(twins > 1.5 * alone); // two questions, not four
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn clustered_standard_error(values: &[f64], clusters: &Clusters) -> Result<f64, StatsError> {
    all_finite("value", values)?;
    same_length(values.len(), clusters.n_items())?;
    let n_clusters = clusters.n_clusters;
    if n_clusters < 2 {
        let what = "clustered standard error";
        return Err(StatsError::TooFew { what, needed: 2, found: n_clusters });
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let residuals: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let squares: f64 = clusters.sums(&residuals)?.iter().map(|sum| sum * sum).sum();
    Ok((n_clusters as f64 / (n_clusters - 1) as f64 * squares).sqrt() / n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap_interval;
    use critic_types::SeedTree;

    fn bootstrap() -> Bootstrap {
        Bootstrap { n_resamples: 2000, ..Bootstrap::new(SeedTree::new(2)) }
    }

    #[test]
    fn clusters_of_one_are_no_clusters() {
        let values = [0.0, 1.0, 1.0, 0.5, 0.0, 1.0];
        let alone = bootstrap_interval(&values, &bootstrap()).unwrap();
        let clusters = Clusters::by_key(["a", "f", "b", "c", "e", "d"]);
        assert_eq!(clusters, Clusters::singletons(6));
        assert_eq!(clustered_bootstrap_interval(&values, &clusters, &bootstrap()).unwrap(), alone);
    }

    #[test]
    fn shares_that_are_all_alike_are_not_certain() {
        let clusters = Clusters::by_key([0, 0, 1, 2]);
        let interval =
            |values: &[f64]| clustered_share_interval(values, &clusters, &bootstrap()).unwrap();
        assert_eq!(interval(&[1.0; 4]), wilson_interval(3.0, 3, 0.95).unwrap());
        assert_eq!(interval(&[0.0; 4]), wilson_interval(0.0, 3, 0.95).unwrap());
        let mixed = [1.0, 0.0, 1.0, 0.0];
        let drawn = clustered_bootstrap_interval(&mixed, &clusters, &bootstrap()).unwrap();
        assert_eq!(interval(&mixed), drawn);
    }

    #[test]
    fn copies_of_an_item_do_not_narrow_the_interval() {
        let once: Vec<f64> = (0..40).map(|i| f64::from(i % 2)).collect();
        let copied: Vec<f64> = once.iter().flat_map(|&v| [v; 5]).collect();
        let clusters = Clusters::by_key((0..200).map(|i| i / 5));
        let width = |interval: Interval| interval.high - interval.low;
        let narrow = width(bootstrap_interval(&copied, &bootstrap()).unwrap());
        let of_clusters =
            width(clustered_bootstrap_interval(&copied, &clusters, &bootstrap()).unwrap());
        let of_items = width(bootstrap_interval(&once, &bootstrap()).unwrap());
        assert!((of_clusters - of_items).abs() < 1e-12);
        assert!(narrow < 0.6 * of_clusters);
    }

    #[test]
    fn one_cluster_has_no_standard_error_and_lengths_must_agree() {
        let one = Clusters::by_key([7, 7]);
        assert!(clustered_standard_error(&[0.0, 1.0], &one).is_err());
        assert!(clustered_bootstrap_interval(&[0.0], &one, &bootstrap()).is_err());
        let none = Clusters::by_key(Vec::<u8>::new());
        assert!(clustered_bootstrap_interval(&[], &none, &bootstrap()).is_err());
        let nan = clustered_bootstrap_interval(&[0.0, f64::NAN], &one, &bootstrap()).unwrap_err();
        assert!(nan.to_string().contains("number 1 is NaN"));
    }
}
