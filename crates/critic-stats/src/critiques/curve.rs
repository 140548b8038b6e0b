use super::{CritiqueRewards, PairOdds, pair_odds};
use crate::clusters::clustered_ratio_interval;
use crate::error::{all_finite, same_length};
use crate::{Bootstrap, Clusters, Interval, StatsError, TieRule};
use serde::{Deserialize, Serialize};

/// Accuracy at one m.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Critiques of each response; 0 is the fast path.
    pub m: usize,
    /// Expected accuracy over subsets of m critiques, 0–1, ties by the curve's rule.
    pub accuracy: f64,
    /// Its interval over items: other items with samples like these.
    pub interval: Interval,
    /// Accuracy less that of the curve's first m.
    pub gain: f64,
    /// The gain's interval, paired by item.
    pub gain_interval: Interval,
    /// Whether every pair was counted over all subsets, or some were resampled.
    pub exact: bool,
}

/// Accuracy as a function of m, all from one set of samples and over the same items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueCurve {
    /// Items that have enough critiques for every m asked for.
    pub n_items: usize,
    /// Items left out of every point because a response has too few critiques (or no fast path).
    pub n_left_out: usize,
    /// What a tie counted as.
    pub tie_rule: TieRule,
    /// One for each m, in the order asked for.
    pub points: Vec<CurvePoint>,
}

/// The expected accuracy of the mean over m critiques, for each m in `ms`.
///
/// An item counts only if both responses have as many critiques as the largest m, so that all points
/// stand on the same items; the others are counted in `n_left_out`. The accuracy at m is the mean of
/// [`pair_odds`] over items (under [`TieRule::Exclude`]: chance of a win over chance of no tie). The
/// intervals draw whole clusters of items. m = 0 reads the fast path.
///
/// # Errors
/// [`StatsError::Lengths`] when clusters and items differ, [`StatsError::Empty`] when no item is left
/// or only ties under [`TieRule::Exclude`], [`StatsError::NotFinite`], and those of the bootstrap.
pub fn critique_curve(
    items: &[CritiqueRewards],
    ms: &[usize],
    tie_rule: TieRule,
    clusters: &Clusters,
    bootstrap: &Bootstrap,
) -> Result<CritiqueCurve, StatsError> {
    same_length(items.len(), clusters.n_items())?;
    let most = ms.iter().copied().max().unwrap_or(0);
    let reads_fast_path = ms.contains(&0);
    let kept: Vec<usize> = (0..items.len())
        .filter(|&index| {
            let item = &items[index];
            item.chosen.len().min(item.rejected.len()) >= most
                && (!reads_fast_path || item.without_critique.is_some())
        })
        .collect();
    if kept.is_empty() || ms.is_empty() {
        return Err(StatsError::Empty { what: "accuracy over m" });
    }
    let clusters = clusters.of(&kept);
    let mut credits: Vec<Credits> = Vec::with_capacity(ms.len());
    for &m in ms {
        credits.push(Credits::at(m, &kept, items, tie_rule, bootstrap)?);
    }
    let points = credits
        .iter()
        .map(|at| {
            let first = &credits[0];
            let interval = clustered_ratio_interval(&at.values, &at.weights, &clusters, bootstrap)?;
            let gain_interval = at.gain_interval(first, &clusters, bootstrap)?;
            let accuracy = at.mean();
            let (m, gain, exact) = (at.m, accuracy - first.mean(), at.exact);
            Ok(CurvePoint { m, accuracy, interval, gain, gain_interval, exact })
        })
        .collect::<Result<_, StatsError>>()?;
    Ok(CritiqueCurve {
        n_items: kept.len(),
        n_left_out: items.len() - kept.len(),
        tie_rule,
        points,
    })
}

/// What each kept item counts at one m.
struct Credits {
    m: usize,
    values: Vec<f64>,
    weights: Vec<f64>,
    exact: bool,
}

impl Credits {
    fn at(
        m: usize,
        kept: &[usize],
        items: &[CritiqueRewards],
        tie_rule: TieRule,
        bootstrap: &Bootstrap,
    ) -> Result<Self, StatsError> {
        let mut credits = Self { m, values: Vec::new(), weights: Vec::new(), exact: true };
        for &index in kept {
            let odds = odds_of(&items[index], m, bootstrap)?;
            let (value, weight) = match tie_rule {
                TieRule::Wrong => (odds.win, 1.0),
                TieRule::Half => (odds.win + 0.5 * odds.tie, 1.0),
                TieRule::Exclude => (odds.win, odds.win + odds.loss),
            };
            credits.values.push(value);
            credits.weights.push(weight);
            credits.exact &= odds.exact;
        }
        if credits.weights.iter().sum::<f64>() == 0.0 {
            return Err(StatsError::Empty { what: "accuracy over m" });
        }
        Ok(credits)
    }

    fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.weights.iter().sum::<f64>()
    }

    fn gain_interval(
        &self,
        first: &Self,
        clusters: &Clusters,
        bootstrap: &Bootstrap,
    ) -> Result<Interval, StatsError> {
        let part = |credits: &Self| -> Result<(Vec<f64>, Vec<f64>), StatsError> {
            Ok((clusters.sums(&credits.values)?, clusters.sums(&credits.weights)?))
        };
        let ((values, weights), (first_values, first_weights)) = (part(self)?, part(first)?);
        crate::bootstrap_statistic(clusters.n_clusters(), bootstrap, |drawn| {
            let sum = |of: &[f64]| drawn.iter().map(|&cluster| of[cluster]).sum::<f64>();
            sum(&values) / sum(&weights) - sum(&first_values) / sum(&first_weights)
        })
    }
}

/// The odds of one item at m; the fast path is certain.
pub(super) fn odds_of(
    item: &CritiqueRewards,
    m: usize,
    bootstrap: &Bootstrap,
) -> Result<PairOdds, StatsError> {
    match item.without_critique {
        Some((chosen, rejected)) if m == 0 => {
            all_finite("reward without critique", &[chosen, rejected])?;
            let is = |holds: bool| f64::from(u8::from(holds));
            Ok(PairOdds {
                win: is(chosen > rejected),
                tie: is(chosen == rejected),
                loss: is(chosen < rejected),
                exact: true,
            })
        }
        _ => {
            let seed = bootstrap.seed.child("subsets").child(&item.id).index(m as u64);
            pair_odds(&item.chosen, &item.rejected, m, seed)
        }
    }
}
