//! Whether the chances that rewards imply come true.
//!
//! A margin m = r⁺ − r⁻ states the chance σ(m) that the chosen response is preferred, and it is: so a
//! margin is scored by σ(m) itself ([`log_loss`], [`brier_score`]). For a diagram the statement is read
//! without the label: the model names the response with the larger reward with confidence σ(|m|), and is
//! right or not ([`confidences`], [`reliability_bins`], [`calibration_error`]). Rewards on another scale
//! than log-odds have no calibration.

use crate::bradley_terry::probability;
use crate::error::{all_finite, all_probabilities};
use crate::{StatsError, softplus};
use serde::{Deserialize, Serialize};

/// A stated chance and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The chance, 0–1.
    pub probability: f64,
    /// 1 when it happened, 0 when not, ½ when neither can be said.
    pub outcome: f64,
}

/// The model's confidence in the response it prefers, and whether that is the chosen one.
///
/// (σ(|m|), 1) for m > 0 and (σ(|m|), 0) for m < 0; a tie states ½ and counts half.
///
/// # Errors
/// [`StatsError::NotFinite`] for a margin that is NaN or infinite.
pub fn confidences(margins: &[f64]) -> Result<Vec<Forecast>, StatsError> {
    all_finite("margin", margins)?;
    margins
        .iter()
        .map(|&margin| {
            let outcome = if margin == 0.0 { 0.5 } else { f64::from(u8::from(margin > 0.0)) };
            Ok(Forecast { probability: probability(margin.abs(), 0.0)?, outcome })
        })
        .collect()
}

/// Mean of −ln σ(m), nats per pair; ln 2 for a model that never decides.
///
/// # Errors
/// [`StatsError::Empty`] and [`StatsError::NotFinite`].
pub fn log_loss(margins: &[f64]) -> Result<f64, StatsError> {
    mean_over(margins, "log loss", |margin| softplus(-margin))
}

/// Mean of (1 − σ(m))², 0–1; ¼ for a model that never decides. Brier 1950.
///
/// # Errors
/// [`StatsError::Empty`] and [`StatsError::NotFinite`].
pub fn brier_score(margins: &[f64]) -> Result<f64, StatsError> {
    mean_over(margins, "Brier score", |margin| (-2.0 * softplus(margin)).exp())
}

fn mean_over(
    margins: &[f64],
    what: &'static str,
    loss: impl Fn(f64) -> f64,
) -> Result<f64, StatsError> {
    all_finite("margin", margins)?;
    if margins.is_empty() {
        return Err(StatsError::Empty { what });
    }
    Ok(margins.iter().map(|&margin| loss(margin)).sum::<f64>() / margins.len() as f64)
}

/// How chances are put into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binning {
    /// `[0, 1]` in this many equal parts, each open below and closed above (the first holds 0).
    ///
    /// Guo et al. 2017. Confidences of preferences are at least ½ and use the upper half alone.
    EqualWidth(usize),
    /// This many bins of equally many forecasts, but for ties: equal chances share a bin.
    ///
    /// The forecast of rank i of n (from 0; the lowest rank among equals) is in bin ⌊i · bins / n⌋.
    /// Nixon et al. 2019, adaptive calibration error.
    EqualMass(usize),
}

/// A bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower end: the bin's edge, or the smallest chance in a bin of equal mass.
    pub low: f64,
    /// Upper end: the bin's edge, or the largest chance in a bin of equal mass.
    pub high: f64,
    /// Forecasts in it, at least one.
    pub n: usize,
    /// Their mean stated chance.
    pub mean_probability: f64,
    /// Their mean outcome.
    pub mean_outcome: f64,
}

/// The bins of a reliability diagram, from low to high; empty bins are left out.
///
/// # Errors
/// [`StatsError::NoBins`], [`StatsError::Empty`], and [`StatsError::Probability`] for a chance or an
/// outcome outside `[0, 1]`.
pub fn reliability_bins(
    forecasts: &[Forecast],
    binning: Binning,
) -> Result<Vec<ReliabilityBin>, StatsError> {
    let mut sorted = forecasts.to_vec();
    let probabilities: Vec<f64> = sorted.iter().map(|f| f.probability).collect();
    let outcomes: Vec<f64> = sorted.iter().map(|f| f.outcome).collect();
    all_probabilities("stated chance", &probabilities)?;
    all_probabilities("outcome", &outcomes)?;
    if sorted.is_empty() {
        return Err(StatsError::Empty { what: "reliability diagram" });
    }
    let (Binning::EqualWidth(n_bins) | Binning::EqualMass(n_bins)) = binning;
    if n_bins == 0 {
        return Err(StatsError::NoBins);
    }
    // By outcome among equals, so that sums do not depend on the order given.
    sorted.sort_by(|a, b| {
        a.probability.total_cmp(&b.probability).then(a.outcome.total_cmp(&b.outcome))
    });
    let mut first_of_equals = 0;
    let mut bin_of = Vec::with_capacity(sorted.len());
    for (rank, forecast) in sorted.iter().enumerate() {
        if forecast.probability > sorted[first_of_equals].probability {
            first_of_equals = rank;
        }
        bin_of.push(match binning {
            Binning::EqualWidth(_) => width_bin(forecast.probability, n_bins),
            Binning::EqualMass(_) => first_of_equals * n_bins / sorted.len(),
        });
    }
    let mut bins = Vec::new();
    let mut start = 0;
    for part in bin_of.chunk_by(|a, b| a == b) {
        let members = &sorted[start..start + part.len()];
        start += part.len();
        let (low, high) = match binning {
            Binning::EqualWidth(_) => {
                (part[0] as f64 / n_bins as f64, (part[0] + 1) as f64 / n_bins as f64)
            }
            Binning::EqualMass(_) => {
                (members[0].probability, members[members.len() - 1].probability)
            }
        };
        let n = members.len();
        let mean = |value: fn(&Forecast) -> f64| members.iter().map(value).sum::<f64>() / n as f64;
        bins.push(ReliabilityBin {
            low,
            high,
            n,
            mean_probability: mean(|f| f.probability),
            mean_outcome: mean(|f| f.outcome),
        });
    }
    Ok(bins)
}

/// The bin i with i/n < p ≤ (i + 1)/n, compared with the edges as they are rounded.
fn width_bin(probability: f64, n_bins: usize) -> usize {
    let mut bin = ((probability * n_bins as f64).ceil() as usize).clamp(1, n_bins) - 1;
    while bin > 0 && probability <= bin as f64 / n_bins as f64 {
        bin -= 1;
    }
    while bin + 1 < n_bins && probability > (bin + 1) as f64 / n_bins as f64 {
        bin += 1;
    }
    bin
}

/// Σ n_b / n · |mean outcome − mean chance| over bins, 0–1: the expected calibration error for bins of
/// equal width, the adaptive one for bins of equal mass; 0 without bins.
///
/// # Examples
/// ```
/// use critic_stats::calibration::{Binning, calibration_error, confidences, reliability_bins};
/// let sure_and_half_right = confidences(&[20.0, -20.0])?;
/// let bins = reliability_bins(&sure_and_half_right, Binning::EqualWidth(10))?;
/// assert!((calibration_error(&bins) - 0.5).abs() < 1e-8);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn calibration_error(bins: &[ReliabilityBin]) -> f64 {
    let n: usize = bins.iter().map(|bin| bin.n).sum();
    bins.iter()
        .map(|bin| bin.n as f64 / n as f64 * (bin.mean_outcome - bin.mean_probability).abs())
        .sum()
}

/// Everything about the calibration of a list of margins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The pairs.
    pub n: usize,
    /// Expected calibration error over bins of equal width, 0–1.
    pub expected_error: f64,
    /// Adaptive calibration error over bins of equal mass, 0–1.
    pub adaptive_error: f64,
    /// Brier score, 0–1.
    pub brier_score: f64,
    /// Nats per pair.
    pub log_loss: f64,
    /// The diagram's bins, of equal width.
    pub bins: Vec<ReliabilityBin>,
}

/// Calibration of margins with `n_bins` bins over the confidences ½–1.
///
/// # Errors
/// [`StatsError::Empty`], [`StatsError::NotFinite`], [`StatsError::NoBins`].
pub fn calibration(margins: &[f64], n_bins: usize) -> Result<Calibration, StatsError> {
    let forecasts = confidences(margins)?;
    // Half of the bins over [0, 1] lie below ½, where no confidence is.
    let bins = reliability_bins(&forecasts, Binning::EqualWidth(2 * n_bins))?;
    let of_equal_mass = reliability_bins(&forecasts, Binning::EqualMass(n_bins))?;
    Ok(Calibration {
        n: margins.len(),
        expected_error: calibration_error(&bins),
        adaptive_error: calibration_error(&of_equal_mass),
        brier_score: brier_score(margins)?,
        log_loss: log_loss(margins)?,
        bins,
    })
}

#[cfg(test)]
mod tests;
