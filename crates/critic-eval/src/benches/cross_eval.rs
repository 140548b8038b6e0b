use super::{finite, unique};
use crate::{Accuracy, EvalError};
use critic_stats::correlation::{kendall_tau_b, pearson, spearman};
use critic_stats::{Bootstrap, Interval, StatsError, TieRule, bootstrap_statistic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const BENCH: &str = "CrossEval";

/// A response with its human ratings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossEvalRow {
    /// Unique.
    pub id: String,
    /// What the responses of one prompt share.
    pub prompt_id: String,
    /// The published capability or cross capability.
    pub capability: String,
    /// At least one, 1–5.
    pub ratings: Vec<f64>,
    /// The contestant's number; absent when scoring failed.
    pub score: Option<f64>,
}

/// How a contestant's numbers go with people's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossEvalGroup {
    /// Responses given.
    pub n_rows: usize,
    /// Responses without a number.
    pub n_missing: usize,
    /// With the mean rating; absent when either list is constant or has fewer than two items.
    pub pearson: Option<f64>,
    /// The same of ranks.
    pub spearman: Option<f64>,
    /// Kendall's τ-b.
    pub kendall_tau_b: Option<f64>,
    /// Pairs of one prompt's responses with different mean ratings: the better rated one scores higher,
    /// ties wrong. This reading as preferences is ours.
    pub pairwise: Option<Accuracy>,
}

/// CrossEval's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossEvalScore {
    /// Over all responses.
    pub overall: CrossEvalGroup,
    /// By capability.
    pub capabilities: BTreeMap<String, CrossEvalGroup>,
}

/// CrossEval (Zhong et al. 2024): correlation with the mean of the human ratings of a response.
///
/// # Errors
/// [`EvalError::BenchCount`] for a response without ratings, [`EvalError::BenchScore`] for a score or
/// rating that is not finite, [`EvalError::BenchTwice`].
pub fn cross_eval(rows: &[CrossEvalRow]) -> Result<CrossEvalScore, EvalError> {
    unique(BENCH, rows.iter().map(|row| row.id.as_str()))?;
    let mut members: BTreeMap<&String, Vec<&CrossEvalRow>> = BTreeMap::new();
    for row in rows {
        if row.ratings.is_empty() {
            return Err(EvalError::BenchCount {
                bench: BENCH,
                item: row.id.clone(),
                what: "ratings",
                found: 0,
                needed: "at least 1".to_owned(),
            });
        }
        finite(BENCH, &row.id, &row.ratings)?;
        finite(BENCH, &row.id, &row.score.map_or_else(Vec::new, |score| vec![score]))?;
        members.entry(&row.capability).or_default().push(row);
    }
    let capabilities = members
        .into_iter()
        .map(|(capability, rows)| Ok((capability.clone(), group(&rows)?)))
        .collect::<Result<_, EvalError>>()?;
    Ok(CrossEvalScore { overall: group(&rows.iter().collect::<Vec<_>>())?, capabilities })
}

fn group(rows: &[&CrossEvalRow]) -> Result<CrossEvalGroup, EvalError> {
    let mut by_prompt: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        let rating = row.ratings.iter().sum::<f64>() / row.ratings.len() as f64;
        if let Some(score) = row.score {
            by_prompt.entry(&row.prompt_id).or_default().push((score, rating));
        }
    }
    let (scores, ratings): (Vec<f64>, Vec<f64>) = by_prompt.values().flatten().copied().unzip();
    let failed = |source| EvalError::Statistic { contestant: BENCH.to_owned(), source };
    let correlation =
        |measure: fn(&[f64], &[f64]) -> Result<f64, StatsError>| match measure(&scores, &ratings) {
            Ok(value) => Ok(Some(value)),
            Err(StatsError::Constant { .. } | StatsError::TooFew { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        };
    let mut pairs = Vec::new();
    for responses in by_prompt.values() {
        for (i, a) in responses.iter().enumerate() {
            for b in &responses[..i] {
                if a.1 != b.1 {
                    pairs.push(if a.1 > b.1 { (a.0, b.0) } else { (b.0, a.0) });
                }
            }
        }
    }
    Ok(CrossEvalGroup {
        n_rows: rows.len(),
        n_missing: rows.len() - scores.len(),
        pearson: correlation(pearson)?,
        spearman: correlation(spearman)?,
        kendall_tau_b: correlation(kendall_tau_b)?,
        pairwise: Accuracy::of(&pairs, TieRule::Wrong).map_err(failed)?,
    })
}

/// Bootstrap intervals of the overall correlations, drawing prompts with all their responses; absent where
/// a draw may have no correlation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CrossEvalIntervals {
    /// Of Pearson's correlation.
    pub pearson: Option<Interval>,
    /// Of Spearman's.
    pub spearman: Option<Interval>,
    /// Of Kendall's τ-b.
    pub kendall_tau_b: Option<Interval>,
}

/// The intervals of [`cross_eval`]'s overall correlations.
pub fn cross_eval_intervals(rows: &[CrossEvalRow], bootstrap: &Bootstrap) -> CrossEvalIntervals {
    let scored: Vec<(&str, f64, f64)> = rows
        .iter()
        .filter_map(|row| {
            let rating = row.ratings.iter().sum::<f64>() / row.ratings.len() as f64;
            Some((row.prompt_id.as_str(), row.score?, rating))
        })
        .collect();
    let mut members: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for &(prompt, score, rating) in &scored {
        members.entry(prompt).or_default().push((score, rating));
    }
    let members: Vec<Vec<(f64, f64)>> = members.into_values().collect();
    let interval = |measure: fn(&[f64], &[f64]) -> Result<f64, StatsError>| {
        bootstrap_statistic(members.len(), bootstrap, |drawn| {
            let points = drawn.iter().flat_map(|&prompt| &members[prompt]).copied();
            let (scores, ratings): (Vec<f64>, Vec<f64>) = points.unzip();
            measure(&scores, &ratings).unwrap_or(f64::NAN)
        })
        .ok()
    };
    CrossEvalIntervals {
        pearson: interval(pearson),
        spearman: interval(spearman),
        kendall_tau_b: interval(kendall_tau_b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::SeedTree;

    #[test]
    fn intervals_hold_the_correlation_and_draw_whole_prompts() {
        let bootstrap = Bootstrap { n_resamples: 500, ..Bootstrap::new(SeedTree::new(0)) };
        let rows: Vec<CrossEvalRow> = (0..90)
            .map(|i| {
                let rating = f64::from(1 + (i * 7) % 5);
                let score = rating + f64::from((i * 13) % 11) / 3.0;
                row(i as usize, &format!("{}", i / 3), &[rating], Some(score))
            })
            .collect();
        let found = cross_eval(&rows).unwrap().overall;
        let intervals = cross_eval_intervals(&rows, &bootstrap);
        for (value, interval) in [
            (found.pearson, intervals.pearson),
            (found.spearman, intervals.spearman),
            (found.kendall_tau_b, intervals.kendall_tau_b),
        ] {
            let (value, interval) = (value.unwrap(), interval.unwrap());
            assert!(interval.low < value && value < interval.high, "{value} {interval:?}");
        }
        assert_eq!(
            cross_eval_intervals(&rows[..3], &bootstrap).pearson.map(|i| i.low),
            found_of(&rows[..3])
        );
        assert_eq!(cross_eval_intervals(&[], &bootstrap).pearson, None);
    }

    /// One prompt is drawn whole each time, so its own correlation is the interval's end.
    fn found_of(rows: &[CrossEvalRow]) -> Option<f64> {
        cross_eval(rows).unwrap().overall.pearson
    }

    fn row(id: usize, prompt: &str, ratings: &[f64], score: Option<f64>) -> CrossEvalRow {
        CrossEvalRow {
            id: id.to_string(),
            prompt_id: prompt.to_owned(),
            capability: "coding".to_owned(),
            ratings: ratings.to_vec(),
            score,
        }
    }

    #[test]
    fn the_mean_rating_is_what_counts() {
        let rows = [
            row(0, "a", &[1.0, 2.0], Some(0.1)),
            row(1, "a", &[5.0, 4.0], Some(0.9)),
            row(2, "a", &[3.0], Some(0.5)),
            row(3, "b", &[2.0], Some(0.2)),
            row(4, "b", &[2.0, 2.0], Some(0.3)),
            row(5, "b", &[1.0], None),
        ];
        let found = cross_eval(&rows).unwrap().overall;
        assert_eq!((found.n_rows, found.n_missing), (6, 1));
        assert!(found.pearson.unwrap() > 0.97 && found.spearman.unwrap() > 0.9);
        let pairwise = found.pairwise.unwrap().agreement;
        assert_eq!((pairwise.n, pairwise.accuracy), (3, 1.0));
    }

    #[test]
    fn what_is_constant_has_no_correlation() {
        let rows = [row(0, "a", &[1.0], Some(2.0)), row(1, "a", &[3.0], Some(2.0))];
        let found = cross_eval(&rows).unwrap().overall;
        assert_eq!((found.pearson, found.kendall_tau_b), (None, None));
        assert_eq!(found.pairwise.unwrap().agreement.accuracy, 0.0);
        assert_eq!(cross_eval(&[]).unwrap().overall.pairwise, None);
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        assert!(cross_eval(&[row(0, "a", &[], Some(1.0))]).is_err());
        assert!(cross_eval(&[row(0, "a", &[1.0], Some(f64::NAN))]).is_err());
        assert!(cross_eval(&[row(0, "a", &[1.0], None), row(0, "a", &[1.0], None)]).is_err());
    }
}
