//! How two lists go together: rewards with length, with style, with human ratings.
//!
//! All three are in `[−1, 1]`, symmetric, and not defined when a list is constant
//! ([`StatsError::Constant`]); equal values get what each definition says about ties.

use crate::error::{all_finite, same_length, valid_confidence};
use crate::{Interval, StatsError};
use statrs::distribution::{ContinuousCDF, Normal};

/// Pearson's r: the correlation of the values.
///
/// # Errors
/// [`StatsError::Lengths`], [`StatsError::NotFinite`], [`StatsError::TooFew`] below two items,
/// [`StatsError::Constant`].
///
/// # Examples
/// ```
/// use critic_stats::correlation::pearson;
/// assert!((pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0])? - 1.0).abs() < 1e-15);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn pearson(x: &[f64], y: &[f64]) -> Result<f64, StatsError> {
    check(x, y)?;
    let (x, y) = (unit_deviations(x), unit_deviations(y));
    let product: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
    Ok(product.clamp(-1.0, 1.0))
}

/// Spearman's ρ: the correlation of the ranks; equal values share their mean rank.
///
/// # Errors
/// As [`pearson`].
///
/// # Examples
/// ```
/// use critic_stats::correlation::spearman;
/// assert_eq!(spearman(&[1.0, 10.0, 100.0], &[5.0, 6.0, 6.5])?, 1.0);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64, StatsError> {
    check(x, y)?;
    pearson(&mean_ranks(x), &mean_ranks(y))
}

/// Kendall's τ-b: (concordant − discordant pairs) / √((pairs not tied in x) · (pairs not tied in y)).
///
/// Kendall 1945; counted in n log n steps (Knight 1966).
///
/// # Errors
/// As [`pearson`].
///
/// # Examples
/// ```
/// use critic_stats::correlation::kendall_tau_b;
/// assert_eq!(kendall_tau_b(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0])?, -1.0);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn kendall_tau_b(x: &[f64], y: &[f64]) -> Result<f64, StatsError> {
    check(x, y)?;
    // Zero has two signs that are equal and sort apart.
    let mut points: Vec<(f64, f64)> = x.iter().zip(y).map(|(x, y)| (x + 0.0, y + 0.0)).collect();
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let n_pairs = pairs(points.len());
    let tied_x: f64 = points.chunk_by(|a, b| a.0 == b.0).map(|tie| pairs(tie.len())).sum();
    let tied_both: f64 = points.chunk_by(|a, b| a == b).map(|tie| pairs(tie.len())).sum();
    let mut second: Vec<f64> = points.iter().map(|point| point.1).collect();
    let mut merged = second.clone();
    let discordant = sort_and_count_inversions(&mut second, &mut merged);
    let tied_y: f64 = second.chunk_by(|a, b| a == b).map(|tie| pairs(tie.len())).sum();
    let difference = n_pairs - tied_x - tied_y + tied_both - 2.0 * discordant;
    let tau = difference / (n_pairs - tied_x).sqrt() / (n_pairs - tied_y).sqrt();
    Ok(tau.clamp(-1.0, 1.0))
}

/// The interval of a Pearson correlation by Fisher's transformation: tanh(atanh r ± z / √(n − 3)).
///
/// Exact for a bivariate normal distribution only; for ranks and lengths a rough guide.
///
/// # Errors
/// [`StatsError::TooFew`] below four items, [`StatsError::Confidence`], and
/// [`StatsError::NotFinite`] when `r` is not in `[−1, 1]`.
pub fn fisher_interval(r: f64, n: usize, confidence: f64) -> Result<Interval, StatsError> {
    valid_confidence(confidence)?;
    if n < 4 {
        return Err(StatsError::TooFew { what: "interval of a correlation", needed: 4, found: n });
    }
    if !(-1.0..=1.0).contains(&r) {
        return Err(StatsError::NotFinite { what: "inverse tangent of r", index: 0, value: r });
    }
    let half_width =
        -Normal::standard().inverse_cdf((1.0 - confidence) / 2.0) / ((n - 3) as f64).sqrt();
    let center = r.atanh();
    Ok(Interval {
        low: (center - half_width).tanh(),
        high: (center + half_width).tanh(),
        confidence,
    })
}

fn check(x: &[f64], y: &[f64]) -> Result<(), StatsError> {
    same_length(x.len(), y.len())?;
    all_finite("first value", x)?;
    all_finite("second value", y)?;
    if x.len() < 2 {
        return Err(StatsError::TooFew { what: "correlation", needed: 2, found: x.len() });
    }
    for (what, list) in [("the first list", x), ("the second list", y)] {
        if list.iter().all(|value| *value == list[0]) {
            return Err(StatsError::Constant { what });
        }
    }
    Ok(())
}

/// The values less their mean, divided by the length of that vector; `values` must not be constant.
fn unit_deviations(values: &[f64]) -> Vec<f64> {
    // In units of the largest value neither the mean nor a square overflows.
    let unit = values.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let scaled: Vec<f64> = values.iter().map(|value| value / unit).collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len() as f64;
    let largest = scaled.iter().fold(0.0f64, |largest, value| largest.max((value - mean).abs()));
    let deviations: Vec<f64> = scaled.iter().map(|value| (value - mean) / largest).collect();
    let length = deviations.iter().map(|d| d * d).sum::<f64>().sqrt();
    deviations.iter().map(|d| d / length).collect()
}

/// Ranks from 1; equal values share their mean rank.
fn mean_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tie in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (tie.len() + 1) as f64 / 2.0;
        for &index in tie {
            ranks[index] = rank;
        }
        before += tie.len();
    }
    ranks
}

fn pairs(n: usize) -> f64 {
    n as f64 * (n as f64 - 1.0) / 2.0
}

/// Sorts by merging and counts the pairs that stood in falling order.
fn sort_and_count_inversions(values: &mut [f64], merged: &mut [f64]) -> f64 {
    let n = values.len();
    if n < 2 {
        return 0.0;
    }
    let (left, right) = values.split_at_mut(n / 2);
    let (merged_left, merged_right) = merged.split_at_mut(n / 2);
    let mut inversions = sort_and_count_inversions(left, merged_left)
        + sort_and_count_inversions(right, merged_right);
    let (mut i, mut j) = (0, 0);
    for slot in merged.iter_mut() {
        if j == right.len() || (i < left.len() && left[i] <= right[j]) {
            *slot = left[i];
            i += 1;
        } else {
            *slot = right[j];
            j += 1;
            inversions += (left.len() - i) as f64;
        }
    }
    values.copy_from_slice(merged);
    inversions
}

#[cfg(test)]
mod tests;
