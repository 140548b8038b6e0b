use super::CritiqueRewards;
use super::curve::odds_of;
use crate::error::same_length;
use crate::{Bootstrap, Clusters, Interval, StatsError, clustered_bootstrap_interval};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How much of what several critiques gain is left when repeated ones count once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DuplicateReport {
    /// Items that have critiques on both sides.
    pub n_items: usize,
    /// Items left out because a response has none.
    pub n_left_out: usize,
    /// Distinct critiques among all of the items that count, 0–1.
    pub distinct_share: f64,
    /// Expected accuracy of a single critique, ties half.
    pub single: f64,
    /// Accuracy of the mean over all critiques less `single`.
    pub gain: f64,
    /// Its interval over items.
    pub gain_interval: Interval,
    /// Accuracy of the mean over distinct critiques less `single`.
    pub gain_distinct: f64,
    /// Its interval over items.
    pub gain_distinct_interval: Interval,
    /// `gain_distinct / gain`; absent when several critiques gain nothing (gain ≤ 0).
    pub share_left: Option<f64>,
}

/// The rewards of the distinct critiques of a response, each text at its first place.
///
/// Texts are the same when they agree after runs of white space are taken as one space, ends trimmed,
/// and letters lower-cased.
///
/// # Errors
/// [`StatsError::Lengths`] when there is not one reward for each text.
///
/// # Examples
/// ```
/// use critic_stats::critiques::distinct_rewards;
/// let kept = distinct_rewards(&["It is right.", "it is  right. ", "No."], &[1.0, 2.0, 3.0])?;
/// assert_eq!(kept, [1.0, 3.0]);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn distinct_rewards(texts: &[&str], rewards: &[f64]) -> Result<Vec<f64>, StatsError> {
    same_length(texts.len(), rewards.len())?;
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for (text, &reward) in texts.iter().zip(rewards) {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        if seen.insert(words.join(" ")) {
            kept.push(reward);
        }
    }
    Ok(kept)
}

/// Compares the gain of all critiques over one with the gain of the distinct ones.
///
/// `all` and `distinct` are the same pairs in the same order, the latter through [`distinct_rewards`].
/// Both gains are over the expected accuracy of one critique drawn from all. Ties count half.
///
/// # Errors
/// [`StatsError::Lengths`] when the lists or the clusters differ in length, [`StatsError::Empty`] when
/// no pair has critiques on both sides, [`StatsError::NotFinite`], and those of the bootstrap.
pub fn gain_without_duplicates(
    all: &[CritiqueRewards],
    distinct: &[CritiqueRewards],
    clusters: &Clusters,
    bootstrap: &Bootstrap,
) -> Result<DuplicateReport, StatsError> {
    same_length(all.len(), distinct.len())?;
    same_length(all.len(), clusters.n_items())?;
    let has_both = |item: &CritiqueRewards| !item.chosen.is_empty() && !item.rejected.is_empty();
    let kept: Vec<usize> =
        (0..all.len()).filter(|&i| has_both(&all[i]) && has_both(&distinct[i])).collect();
    if kept.is_empty() {
        return Err(StatsError::Empty { what: "gain without duplicates" });
    }
    let (mut single, mut gains, mut gains_distinct) = (Vec::new(), Vec::new(), Vec::new());
    let (mut n_all, mut n_distinct) = (0, 0);
    for &index in &kept {
        let (item, reduced) = (&all[index], &distinct[index]);
        let odds = odds_of(item, 1, bootstrap)?;
        let one = odds.win + 0.5 * odds.tie;
        single.push(one);
        gains.push(credit_of_means(item)? - one);
        gains_distinct.push(credit_of_means(reduced)? - one);
        n_all += item.chosen.len() + item.rejected.len();
        n_distinct += reduced.chosen.len() + reduced.rejected.len();
    }
    let clusters = clusters.of(&kept);
    let interval = |values: &[f64]| clustered_bootstrap_interval(values, &clusters, bootstrap);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (gain, gain_distinct) = (mean(&gains), mean(&gains_distinct));
    Ok(DuplicateReport {
        n_items: kept.len(),
        n_left_out: all.len() - kept.len(),
        distinct_share: n_distinct as f64 / n_all as f64,
        single: mean(&single),
        gain,
        gain_interval: interval(&gains)?,
        gain_distinct,
        gain_distinct_interval: interval(&gains_distinct)?,
        share_left: (gain > 0.0).then(|| gain_distinct / gain),
    })
}

/// 1 when the mean over the chosen response's critiques is larger, ½ when equal.
fn credit_of_means(item: &CritiqueRewards) -> Result<f64, StatsError> {
    crate::error::all_finite("chosen reward", &item.chosen)?;
    crate::error::all_finite("rejected reward", &item.rejected)?;
    let mean = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.iter().sum::<f64>() / sorted.len() as f64
    };
    let (chosen, rejected) = (mean(&item.chosen), mean(&item.rejected));
    Ok(if chosen == rejected { 0.5 } else { f64::from(u8::from(chosen > rejected)) })
}
