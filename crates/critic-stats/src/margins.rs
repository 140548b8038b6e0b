use crate::bootstrap::quantile;
use crate::error::all_finite;
use crate::{MeanStd, StatsError, mean_std};
use serde::{Deserialize, Serialize};

/// How far rewards stand apart: chosen − rejected over pairs, in the unit of the rewards.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MarginSummary {
    /// Count, mean and standard deviation.
    pub spread: MeanStd,
    /// The smallest, the quartiles and the largest, interpolated linearly.
    pub quartiles: [f64; 5],
    /// Pairs with a margin below zero.
    pub n_negative: usize,
    /// Pairs with a margin of zero.
    pub n_ties: usize,
}

/// Summarizes margins.
///
/// # Errors
/// [`StatsError::Empty`] and [`StatsError::NotFinite`].
///
/// # Examples
/// ```
/// let summary = critic_stats::margin_summary(&[-1.0, 0.0, 2.0, 3.0])?;
/// assert_eq!((summary.n_negative, summary.n_ties), (1, 1));
/// assert_eq!(summary.quartiles, [-1.0, -0.25, 1.0, 2.25, 3.0]);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn margin_summary(margins: &[f64]) -> Result<MarginSummary, StatsError> {
    all_finite("margin", margins)?;
    let spread = mean_std(margins)?;
    let mut sorted = margins.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(MarginSummary {
        spread,
        quartiles: [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&sorted, share)),
        n_negative: margins.iter().filter(|&&margin| margin < 0.0).count(),
        n_ties: margins.iter().filter(|&&margin| margin == 0.0).count(),
    })
}

/// A bar of a histogram: values with low ≤ v < high, in the last bar also v = high.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HistogramBin {
    /// Lower edge.
    pub low: f64,
    /// Upper edge.
    pub high: f64,
    /// Values in it.
    pub n: usize,
}

/// Counts values in `n_bins` equal parts of their range, empty bars included.
///
/// Values that are all equal have one bar, which holds them all.
///
/// # Errors
/// [`StatsError::NoBins`], [`StatsError::Empty`], [`StatsError::NotFinite`] (also for a range that
/// overflows).
pub fn histogram(values: &[f64], n_bins: usize) -> Result<Vec<HistogramBin>, StatsError> {
    Ok(shared_histograms(&[values], n_bins)?.concat())
}

/// [`histogram`] of several lists in the same bars, those of all their values together.
///
/// A list may be empty when another is not.
///
/// # Errors
/// As [`histogram`].
///
/// # Examples
/// ```
/// let bars = critic_stats::shared_histograms(&[&[0.0, 1.0], &[4.0]], 2)?;
/// assert_eq!([bars[0][0].n, bars[0][1].n, bars[1][0].n, bars[1][1].n], [2, 0, 0, 1]);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn shared_histograms(
    lists: &[&[f64]],
    n_bins: usize,
) -> Result<Vec<Vec<HistogramBin>>, StatsError> {
    let values = lists.concat();
    all_finite("value", &values)?;
    if n_bins == 0 {
        return Err(StatsError::NoBins);
    }
    if values.is_empty() {
        return Err(StatsError::Empty { what: "histogram" });
    }
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    all_finite("range of values", &[high - low])?;
    let n_bins = if low == high { 1 } else { n_bins };
    let edge = |i: usize| low + (high - low) * (i as f64 / n_bins as f64);
    let bars: Vec<HistogramBin> = (0..n_bins)
        .map(|i| HistogramBin {
            low: edge(i),
            high: if i + 1 == n_bins { high } else { edge(i + 1) },
            n: 0,
        })
        .collect();
    let counted = |list: &&[f64]| {
        let mut bars = bars.clone();
        for &value in *list {
            let place = bars.partition_point(|bar| bar.low <= value);
            bars[place.saturating_sub(1)].n += 1;
        }
        bars
    };
    Ok(lists.iter().map(counted).collect())
}

/// Counts margins in at most about `n_bins` bars whose width is 1, 2 or 5 times a power of ten and which
/// meet at zero: none holds margins of both signs. A bar holds low < v ≤ high, so that a margin of zero
/// stands with the negative ones.
///
/// # Errors
/// As [`histogram`].
///
/// # Examples
/// ```
/// let bars = critic_stats::margin_histogram(&[-1.0, 0.0, 2.9], 4)?;
/// let counted: Vec<(f64, usize)> = bars.iter().map(|bar| (bar.high, bar.n)).collect();
/// assert_eq!(counted, [(-1.0, 1), (0.0, 1), (1.0, 0), (2.0, 0), (3.0, 1)]);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn margin_histogram(margins: &[f64], n_bins: usize) -> Result<Vec<HistogramBin>, StatsError> {
    all_finite("margin", margins)?;
    if n_bins == 0 {
        return Err(StatsError::NoBins);
    }
    if margins.is_empty() {
        return Err(StatsError::Empty { what: "margins" });
    }
    let low = margins.iter().copied().fold(f64::INFINITY, f64::min);
    let high = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    all_finite("range of margins", &[high - low])?;
    // Bars narrower than the numbers' own rounding would be as many as there are.
    let range = (high - low).max(1e-9 * low.abs().max(high.abs()));
    let width = if range > 0.0 { round_up(range / n_bins as f64) } else { 1.0 };
    let place = |margin: f64| (margin / width).ceil();
    let first = place(low);
    let mut bars: Vec<HistogramBin> = (0..=(place(high) - first) as usize)
        .map(|i| {
            let high = first + i as f64;
            HistogramBin { low: (high - 1.0) * width, high: high * width, n: 0 }
        })
        .collect();
    for &margin in margins {
        bars[(place(margin) - first) as usize].n += 1;
    }
    Ok(bars)
}

/// The smallest of 1, 2 and 5 times a power of ten that is no smaller.
fn round_up(width: f64) -> f64 {
    let power = 10f64.powf(width.log10().floor());
    let fits = |round: &f64| width <= round * power * (1.0 + 1e-9);
    [1.0, 2.0, 5.0].into_iter().find(fits).unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_values_have_one_bar_and_none_have_none() {
        assert_eq!(histogram(&[2.0; 3], 8).unwrap(), [HistogramBin { low: 2.0, high: 2.0, n: 3 }]);
        assert!(histogram(&[], 8).is_err() && histogram(&[1.0], 0).is_err());
        assert!(histogram(&[f64::MAX, -f64::MAX], 2).is_err());
        assert!(margin_summary(&[]).is_err() && margin_summary(&[f64::NAN]).is_err());
    }

    #[test]
    fn no_bar_holds_margins_of_both_signs() {
        let bars = margin_histogram(&[-0.31, -0.0, 0.0, 0.02, 0.2, 0.7], 10).unwrap();
        assert!(bars.iter().all(|bar| bar.high <= 0.0 || bar.low >= 0.0), "{bars:?}");
        let below: usize = bars.iter().filter(|bar| bar.high <= 0.0).map(|bar| bar.n).sum();
        assert_eq!((below, bars.iter().map(|bar| bar.n).sum::<usize>()), (3, 6));
        let alike = margin_histogram(&[0.0; 3], 10).unwrap();
        assert_eq!(alike, [HistogramBin { low: -1.0, high: 0.0, n: 3 }]);
        assert_eq!(margin_histogram(&[7.3; 4], 10).unwrap().len(), 1);
        assert!(margin_histogram(&[], 10).is_err() && margin_histogram(&[1.0], 0).is_err());
        assert!(margin_histogram(&[f64::NAN], 10).is_err());
        assert!(margin_histogram(&[f64::MAX, -f64::MAX], 10).is_err());
    }

    proptest! {
        #[test]
        fn every_margin_is_in_one_of_a_few_bars(
            margins in prop::collection::vec(-1e6f64..1e6, 1..50), n_bins in 1usize..40,
        ) {
            let bars = margin_histogram(&margins, n_bins).unwrap();
            prop_assert!(bars.len() <= n_bins + 2, "{} bars", bars.len());
            prop_assert_eq!(bars.iter().map(|bar| bar.n).sum::<usize>(), margins.len());
        }
    }

    #[test]
    fn the_last_bar_is_closed() {
        let counts: Vec<usize> =
            histogram(&[0.0, 0.5, 1.0, 1.5, 2.0], 2).unwrap().iter().map(|bin| bin.n).collect();
        assert_eq!(counts, [2, 3]);
    }

    proptest! {
        #[test]
        fn every_value_is_in_a_bar(values in prop::collection::vec(-1e3f64..1e3, 1..60), n in 1usize..30) {
            let bins = histogram(&values, n).unwrap();
            prop_assert_eq!(bins.iter().map(|bin| bin.n).sum::<usize>(), values.len());
        }
    }
}
