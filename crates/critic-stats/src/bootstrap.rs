use crate::error::{all_finite, valid_confidence};
use crate::{Interval, StatsError};
use critic_types::SeedTree;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// How a bootstrap draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// How many resamples; each has as many items as the data.
    pub n_resamples: usize,
    /// Two-sided confidence, in (0, 1).
    pub confidence: f64,
    /// The randomness; resample i draws from its i-th child.
    pub seed: SeedTree,
}

impl Bootstrap {
    /// 95 % from 10,000 resamples.
    pub fn new(seed: SeedTree) -> Self {
        Self { n_resamples: 10_000, confidence: 0.95, seed }
    }
}

/// The percentile bootstrap interval of the mean.
///
/// Draws `n_resamples` means with replacement and takes their quantiles, interpolated linearly.
/// Items that belong together (pairs of one prompt) are resampled as if they did not: for those
/// [`clustered_bootstrap_interval`](crate::clustered_bootstrap_interval).
///
/// # Errors
/// [`StatsError::Empty`], [`StatsError::NotFinite`], [`StatsError::NoResamples`],
/// [`StatsError::Confidence`].
///
/// # Examples
/// ```
/// use critic_stats::{Bootstrap, bootstrap_interval};
/// use critic_types::SeedTree;
/// let interval = bootstrap_interval(&[0.0, 1.0, 1.0, 1.0], &Bootstrap::new(SeedTree::new(0)))?;
/// assert!(interval.low < 0.75 && interval.high <= 1.0);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn bootstrap_interval(values: &[f64], bootstrap: &Bootstrap) -> Result<Interval, StatsError> {
    all_finite("bootstrap value", values)?;
    let n = values.len() as f64;
    bootstrap_statistic(values.len(), bootstrap, |drawn| {
        drawn.iter().map(|&index| values[index]).sum::<f64>() / n
    })
}

/// The percentile bootstrap interval of any statistic of `n_items` items.
///
/// `statistic` gets the indices of one resample, as many as there are items, drawn with replacement.
///
/// # Errors
/// [`StatsError::Empty`] without items, [`StatsError::NotFinite`] when the statistic of a resample is
/// not finite (the index counts resamples), [`StatsError::NoResamples`], [`StatsError::Confidence`].
pub fn bootstrap_statistic(
    n_items: usize,
    bootstrap: &Bootstrap,
    statistic: impl Fn(&[usize]) -> f64,
) -> Result<Interval, StatsError> {
    let Bootstrap { n_resamples, confidence, seed } = *bootstrap;
    valid_confidence(confidence)?;
    if n_items == 0 {
        return Err(StatsError::Empty { what: "bootstrap interval" });
    }
    if n_resamples == 0 {
        return Err(StatsError::NoResamples);
    }
    let mut drawn = vec![0; n_items];
    let mut statistics = Vec::with_capacity(n_resamples);
    for resample in 0..n_resamples {
        let mut rng = seed.index(resample as u64).rng();
        drawn.fill_with(|| below(&mut rng, n_items));
        statistics.push(statistic(&drawn));
    }
    all_finite("statistic of resample", &statistics)?;
    statistics.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Ok(Interval {
        low: quantile(&statistics, tail),
        high: quantile(&statistics, 1.0 - tail),
        confidence,
    })
}

/// A uniform draw from `0..n`.
pub(crate) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// The quantile of sorted values, linear between the two nearest; `share` within `[0, 1]`.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (place - place.floor()) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wilson_interval;

    #[test]
    fn bad_arguments_are_named() {
        let message = |result: Result<Interval, StatsError>| result.unwrap_err().to_string();
        let bootstrap = Bootstrap::new(SeedTree::new(0));
        assert!(message(bootstrap_interval(&[], &bootstrap)).contains("no items"));
        assert!(
            message(bootstrap_interval(&[0.0, f64::NAN], &bootstrap)).contains("number 1 is NaN")
        );
        let none = Bootstrap { n_resamples: 0, ..bootstrap };
        assert!(message(bootstrap_interval(&[0.0], &none)).contains("0 resamples"));
        let sure = Bootstrap { confidence: 1.0, ..bootstrap };
        assert!(message(bootstrap_interval(&[0.0], &sure)).contains("outside (0, 1)"));
        let broken = bootstrap_statistic(2, &bootstrap, |_| f64::NAN);
        assert!(message(broken).contains("resample number 0 is NaN"));
    }

    #[test]
    fn the_bootstrap_of_a_share_is_near_its_wilson_interval() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 10 < 7))).collect();
        let bootstrap = Bootstrap { n_resamples: 4000, ..Bootstrap::new(SeedTree::new(5)) };
        let resampled = bootstrap_interval(&values, &bootstrap).unwrap();
        let wilson = wilson_interval(280.0, 400, 0.95).unwrap();
        assert!((resampled.low - wilson.low).abs() < 0.006, "{resampled:?} {wilson:?}");
        assert!((resampled.high - wilson.high).abs() < 0.006, "{resampled:?} {wilson:?}");
        assert_eq!(resampled, bootstrap_interval(&values, &bootstrap).unwrap());
    }

    #[test]
    fn quantiles_are_linear_between_values() {
        assert_eq!(quantile(&[1.0], 0.3), 1.0);
        assert_eq!(quantile(&[0.0, 10.0], 0.25), 2.5);
        assert_eq!(quantile(&[0.0, 1.0, 4.0], 1.0), 4.0);
    }
}
