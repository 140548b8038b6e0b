//! What several critiques of an item are worth: agreement, accuracy over m, duplicates.
//!
//! Everything is read from **one** set of samples. For a smaller m no critique is drawn anew: the
//! accuracy at m is the expectation over the subsets of size m of the samples at hand, so a curve over m
//! has no luck of the draw in it beyond that of the samples themselves.

mod curve;
mod duplicates;
mod subsets;

pub use curve::{CritiqueCurve, CurvePoint, critique_curve};
pub use duplicates::{DuplicateReport, distinct_rewards, gain_without_duplicates};
pub use subsets::{MAX_SUBSETS, N_DRAWS, PairOdds, pair_odds};

use crate::StatsError;
use crate::correlation::pearson;
use serde::{Deserialize, Serialize};

/// The rewards of a pair's two responses, one for each critique that succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueRewards {
    /// The pair's id; draws belong to it and not to its place.
    pub id: String,
    /// Rewards (chosen, rejected) without critique, when they were read: m = 0.
    pub without_critique: Option<(f64, f64)>,
    /// After each critique of the chosen response.
    pub chosen: Vec<f64>,
    /// After each critique of the rejected response.
    pub rejected: Vec<f64>,
}

/// How the rewards after different critiques of the same items go together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairwiseCorrelation {
    /// Mean of Pearson's r over the pairs of critique numbers.
    pub mean: f64,
    /// Pairs of critique numbers that have a correlation.
    pub n_pairs: usize,
    /// Pairs left out: fewer than two items have both critiques, or one column is constant.
    pub n_undefined: usize,
}

/// Mean correlation of the j-th and the k-th critique's number over items, all j < k.
///
/// `rows[item][critique]`; rows may differ in length, a pair of critique numbers uses the rows that have
/// both. Rows may be rewards of responses, or margins of pairs: the latter do not count agreement on
/// what both responses of a pair share.
///
/// # Errors
/// [`StatsError::Empty`] when no pair of critique numbers has a correlation,
/// [`StatsError::NotFinite`] (the index counts along the rows).
pub fn pairwise_correlation(rows: &[Vec<f64>]) -> Result<PairwiseCorrelation, StatsError> {
    crate::error::all_finite("reward", &rows.concat())?;
    let m = rows.iter().map(Vec::len).max().unwrap_or(0);
    let (mut sum, mut n_pairs, mut n_undefined) = (0.0, 0, 0);
    for j in 0..m {
        for k in j + 1..m {
            let (x, y): (Vec<f64>, Vec<f64>) =
                rows.iter().filter(|row| row.len() > k).map(|row| (row[j], row[k])).unzip();
            match pearson(&x, &y) {
                Ok(r) => {
                    sum += r;
                    n_pairs += 1;
                }
                Err(StatsError::TooFew { .. } | StatsError::Constant { .. }) => n_undefined += 1,
                Err(error) => return Err(error),
            }
        }
    }
    if n_pairs == 0 {
        return Err(StatsError::Empty { what: "correlation between critiques" });
    }
    Ok(PairwiseCorrelation { mean: sum / n_pairs as f64, n_pairs, n_undefined })
}

#[cfg(test)]
mod tests;
