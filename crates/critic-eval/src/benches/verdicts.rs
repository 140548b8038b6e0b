use super::ppe::rank_auc;
use super::{CritiqueVerdict, critique_f1};
use crate::EvalError;
use critic_stats::{Bootstrap, Clusters, Interval, bootstrap_statistic};
use std::collections::HashMap;

/// A response whose truth is known, and the number that a contestant puts on it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredTruth {
    /// Unique.
    pub id: String,
    /// The group of a report.
    pub domain: String,
    /// What the responses of one prompt share: they are drawn together, and a threshold is never fitted on
    /// the prompt that it judges.
    pub prompt: String,
    /// Whether the response is right.
    pub response_is_right: bool,
    /// The contestant's number; absent when scoring failed.
    pub score: Option<f64>,
}

impl ScoredTruth {
    fn verdict(&self, threshold: Option<f64>) -> CritiqueVerdict {
        CritiqueVerdict {
            id: self.id.clone(),
            domain: self.domain.clone(),
            response_is_right: self.response_is_right,
            says_right: self.score.zip(threshold).map(|(score, threshold)| score >= threshold),
        }
    }
}

/// Verdicts of numbers that have a natural threshold: right where the number is at least that, such as 0
/// for log-odds, and 6 for scores from 1 to 10 (as CriticBench's own code reads them).
pub fn verdicts_at(rows: &[ScoredTruth], threshold: f64) -> Vec<CritiqueVerdict> {
    rows.iter().map(|row| row.verdict(Some(threshold))).collect()
}

/// The share of pairs of a right and a wrong response in which the right one has the higher number, ties
/// half: what needs no threshold. Absent where either kind is missing.
pub fn right_above_wrong(rows: &[ScoredTruth]) -> Option<f64> {
    rank_auc(rows.iter().filter_map(|row| Some((row.score?, row.response_is_right))).collect())
}

/// Verdicts of numbers without a natural threshold, such as rewards.
///
/// The prompts are halved, every other one; each half's threshold is the one with the highest F1 of
/// "wrong" on the other half, the lowest of equals. So no verdict has seen its own truth. Where a half has
/// no threshold to fit (nothing wrong, or no number), the other half has no verdicts.
pub fn fitted_verdicts(rows: &[ScoredTruth]) -> Vec<CritiqueVerdict> {
    let halves = halves(rows);
    let fitted = [0, 1].map(|half: usize| {
        let members = rows.iter().zip(&halves).filter(|(_, of)| **of == half);
        best_threshold(members.filter_map(|(row, _)| Some((row.score?, row.response_is_right))))
    });
    let verdict = |(row, half): (&ScoredTruth, &usize)| row.verdict(fitted[1 - half]);
    rows.iter().zip(&halves).map(verdict).collect()
}

fn halves(rows: &[ScoredTruth]) -> Vec<usize> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    rows.iter()
        .map(|row| {
            let next = places.len();
            *places.entry(&row.prompt).or_insert(next) % 2
        })
        .collect()
}

/// The threshold with the highest F1 of the label "wrong", which scores below it get.
fn best_threshold(scored: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    let mut scored: Vec<(f64, bool)> = scored.collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n_wrong = scored.iter().filter(|(_, right)| !right).count();
    let mut best: Option<(f64, f64)> = None;
    let (mut found, mut called) = (0, 0);
    for (i, &(score, right)) in scored.iter().enumerate() {
        called += 1;
        found += usize::from(!right);
        let next = scored.get(i + 1).map(|next| next.0);
        if next == Some(score) {
            continue;
        }
        let f1 = 2.0 * found as f64 / (called + n_wrong) as f64;
        if n_wrong > 0 && best.is_none_or(|(highest, _)| f1 > highest) {
            best = Some((f1, next.map_or(f64::INFINITY, |next| score.midpoint(next))));
        }
    }
    best.map(|(_, threshold)| threshold)
}

/// The bootstrap interval of the F1 of "wrong", drawing prompts with all their responses; absent where a
/// draw may have no F1.
///
/// # Errors
/// [`EvalError::BenchTwice`] as [`critique_f1`].
pub fn f1_interval(
    rows: &[ScoredTruth],
    verdicts: &[CritiqueVerdict],
    bootstrap: &Bootstrap,
) -> Result<Option<Interval>, EvalError> {
    if critique_f1(verdicts)?.overall.f1.is_none() {
        return Ok(None);
    }
    let clusters = Clusters::by_key(rows.iter().map(|row| row.prompt.as_str()));
    let count = |is: bool, says: bool| {
        let holds = |verdict: &CritiqueVerdict| {
            verdict.response_is_right == is && verdict.says_right == Some(says)
        };
        verdicts.iter().map(|verdict| f64::from(u8::from(holds(verdict)))).collect::<Vec<f64>>()
    };
    let failed = |source| EvalError::Statistic { contestant: "critique F1".to_owned(), source };
    let [found, missed, false_alarms] = [(false, false), (false, true), (true, false)]
        .map(|(is, says)| clusters.sums(&count(is, says)).map_err(failed));
    let (found, missed, false_alarms) = (found?, missed?, false_alarms?);
    let interval = bootstrap_statistic(clusters.n_clusters(), bootstrap, |drawn| {
        let sum = |of: &[f64]| drawn.iter().map(|&cluster| of[cluster]).sum::<f64>();
        let twice = 2.0 * sum(&found);
        twice / (twice + sum(&missed) + sum(&false_alarms))
    });
    Ok(interval.ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::SeedTree;

    fn rows(scores: &[(&str, bool, Option<f64>)]) -> Vec<ScoredTruth> {
        scores
            .iter()
            .enumerate()
            .map(|(i, &(prompt, response_is_right, score))| ScoredTruth {
                id: i.to_string(),
                domain: "math".to_owned(),
                prompt: prompt.to_owned(),
                response_is_right,
                score,
            })
            .collect()
    }

    fn says(verdicts: &[CritiqueVerdict]) -> Vec<Option<bool>> {
        verdicts.iter().map(|verdict| verdict.says_right).collect()
    }

    #[test]
    fn a_natural_threshold_needs_no_fit() {
        let rows = rows(&[("a", true, Some(6.0)), ("a", false, Some(5.9)), ("b", true, None)]);
        assert_eq!(says(&verdicts_at(&rows, 6.0)), [Some(true), Some(false), None]);
    }

    #[test]
    fn right_ones_above_wrong_ones_need_no_threshold() {
        let all = [("a", true, Some(1.0)), ("a", false, Some(0.0)), ("b", false, Some(1.0))];
        assert_eq!(right_above_wrong(&rows(&all)), Some(0.75));
        assert_eq!(right_above_wrong(&rows(&all[1..])), None);
    }

    #[test]
    fn a_threshold_comes_from_the_other_prompts() {
        // The prompts a and c fit −1 … 1, the prompts b and d fit 9 … 11.
        let rows = rows(&[
            ("a", true, Some(1.0)),
            ("a", false, Some(-1.0)),
            ("b", true, Some(11.0)),
            ("b", false, Some(9.0)),
            ("c", true, Some(1.0)),
            ("c", false, Some(-1.0)),
            ("d", true, Some(11.0)),
            ("d", false, Some(9.0)),
        ]);
        let found = says(&fitted_verdicts(&rows));
        // Judged by 10, both of a are wrong; judged by 0, both of b are right.
        assert_eq!(found[..4], [Some(false), Some(false), Some(true), Some(true)]);
        assert_eq!(found[..4], found[4..]);
    }

    #[test]
    fn the_best_threshold_is_the_one_that_enumeration_finds() {
        let mut rng = 7u64;
        let mut next = || {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (rng >> 33) as f64 / f64::from(1u32 << 31)
        };
        for _ in 0..50 {
            let scored: Vec<(f64, bool)> =
                (0..12).map(|_| ((next() * 5.0).floor(), next() < 0.5)).collect();
            let f1 = |threshold: f64| {
                let called = scored.iter().filter(|(score, _)| *score < threshold).count();
                let found = scored.iter().filter(|(s, right)| *s < threshold && !right).count();
                let n_wrong = scored.iter().filter(|(_, right)| !right).count();
                2.0 * found as f64 / (called + n_wrong).max(1) as f64
            };
            let highest = (0..=6).map(|t| f1(f64::from(t) - 0.5)).fold(0.0, f64::max);
            let Some(best) = best_threshold(scored.iter().copied()) else { continue };
            assert!((f1(best) - highest).abs() < 1e-12, "{scored:?}");
        }
    }

    #[test]
    fn a_half_without_anything_wrong_fits_nothing() {
        let rows = rows(&[("a", true, Some(1.0)), ("b", false, Some(0.0)), ("b", true, Some(2.0))]);
        assert_eq!(says(&fitted_verdicts(&rows)), [Some(true), None, None]);
    }

    #[test]
    fn prompts_are_drawn_with_all_their_responses() {
        let bootstrap = Bootstrap { n_resamples: 300, ..Bootstrap::new(SeedTree::new(0)) };
        let rows: Vec<ScoredTruth> = rows(
            &["a", "b", "c", "d"]
                .map(|prompt| [(prompt, true, Some(1.0)), (prompt, false, Some(-1.0))])
                .concat(),
        );
        let verdicts = verdicts_at(&rows, 0.0);
        let interval = f1_interval(&rows, &verdicts, &bootstrap).unwrap().unwrap();
        assert_eq!((interval.low, interval.high), (1.0, 1.0));
        let nothing = verdicts_at(&rows[..1], 0.0);
        assert_eq!(f1_interval(&rows[..1], &nothing, &bootstrap).unwrap(), None);
    }
}
