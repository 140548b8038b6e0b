use super::{finite, mean, unique};
use crate::EvalError;
use critic_stats::{Bootstrap, Interval, bootstrap_interval};
use serde::{Deserialize, Serialize};

const BENCH: &str = "best-of-n";

/// One of the responses to a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What the contestant gives it; absent when scoring failed.
    pub score: Option<f64>,
    /// What it is worth: 1 for right and 0 for wrong, or any finite measure.
    pub quality: f64,
}

/// A prompt with its candidates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestOfNRow {
    /// Unique.
    pub id: String,
    /// At least one.
    pub candidates: Vec<Candidate>,
}

/// What is picked when only n candidates are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestOfNPoint {
    /// Candidates drawn.
    pub n: usize,
    /// Expected quality of the one with the highest score.
    pub quality: f64,
    /// Its interval over prompts.
    pub interval: Interval,
    /// Expected quality of the best one drawn: what a perfect score would pick.
    pub oracle: f64,
}

/// Best-of-n over prompts; qualities in the unit of the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestOfNScore {
    /// Prompts given.
    pub n_rows: usize,
    /// Prompts with a candidate that has no score; they count nowhere.
    pub n_missing: usize,
    /// Quality of the pick among all candidates of each prompt; absent without prompts that count.
    pub picked: Option<f64>,
    /// Share of prompts with one highest score, and that of a best candidate.
    pub strict_top_1: Option<f64>,
    /// Mean quality of a candidate: what chance picks.
    pub random: Option<f64>,
    /// Quality of the best candidate of each prompt.
    pub oracle: Option<f64>,
    /// For n from 1 to the fewest candidates of a prompt.
    pub curve: Vec<BestOfNPoint>,
}

/// Best-of-n: the quality of the response with the highest score.
///
/// Equal highest scores are picked with equal chances, so a tie is worth its mean quality. The value at
/// a smaller n is the exact expectation over subsets of n candidates: with N candidates of which `a`
/// score at most s, all of n drawn do with chance Π_{i<n} (a − i) / (N − i).
/// `strict_top_1` is RMB's best-of-n accuracy.
///
/// # Errors
/// [`EvalError::BenchCount`] for a prompt without candidates, [`EvalError::BenchScore`] for a score or
/// quality that is not finite, [`EvalError::BenchTwice`], [`EvalError::Statistic`] when `bootstrap`
/// asks for an impossible interval.
pub fn best_of_n(rows: &[BestOfNRow], bootstrap: &Bootstrap) -> Result<BestOfNScore, EvalError> {
    unique(BENCH, rows.iter().map(|row| row.id.as_str()))?;
    let mut scored: Vec<Vec<(f64, f64)>> = Vec::with_capacity(rows.len());
    for row in rows {
        if row.candidates.is_empty() {
            return Err(EvalError::BenchCount {
                bench: BENCH,
                item: row.id.clone(),
                what: "candidates",
                found: 0,
                needed: "at least 1".to_owned(),
            });
        }
        for candidate in &row.candidates {
            finite(BENCH, &row.id, &[candidate.quality, candidate.score.unwrap_or(0.0)])?;
        }
        let candidates = row.candidates.iter().map(|c| Some((c.score?, c.quality)));
        scored.extend(candidates.collect::<Option<Vec<(f64, f64)>>>());
    }
    let fewest = scored.iter().map(Vec::len).min().unwrap_or(0);
    let mut curve = Vec::with_capacity(fewest);
    for n in 1..=fewest {
        let values = over(&scored, |candidates| expected_pick(candidates, n));
        let oracle = over(&scored, |candidates| expected_pick(&by_quality(candidates), n));
        let interval = bootstrap_interval(&values, bootstrap)
            .map_err(|source| EvalError::Statistic { contestant: BENCH.to_owned(), source })?;
        if let (Some(quality), Some(oracle)) = (mean(&values), mean(&oracle)) {
            curve.push(BestOfNPoint { n, quality, interval, oracle });
        }
    }
    Ok(BestOfNScore {
        n_rows: rows.len(),
        n_missing: rows.len() - scored.len(),
        picked: mean(&over(&scored, |candidates| expected_pick(candidates, candidates.len()))),
        strict_top_1: mean(&over(&scored, |candidates| {
            f64::from(u8::from(strictly_best(candidates)))
        })),
        random: mean(&over(&scored, |candidates| expected_pick(candidates, 1))),
        oracle: mean(&over(&scored, |candidates| {
            expected_pick(&by_quality(candidates), candidates.len())
        })),
        curve,
    })
}

/// A value of each prompt's candidates.
fn over(scored: &[Vec<(f64, f64)>], value: impl Fn(&[(f64, f64)]) -> f64) -> Vec<f64> {
    scored.iter().map(|candidates| value(candidates)).collect()
}

/// The candidates as a perfect score would have them.
fn by_quality(candidates: &[(f64, f64)]) -> Vec<(f64, f64)> {
    candidates.iter().map(|&(_, quality)| (quality, quality)).collect()
}

/// The expected quality of the highest score among n of the candidates.
fn expected_pick(candidates: &[(f64, f64)], n: usize) -> f64 {
    let mut sorted = candidates.to_vec();
    // By quality among equals, so that sums do not depend on the order given.
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let none_above = |a: usize| -> f64 {
        (0..n).map(|i| a.saturating_sub(i) as f64 / (sorted.len() - i) as f64).product()
    };
    let (mut expected, mut below) = (0.0, 0);
    for equals in sorted.chunk_by(|a, b| a.0 == b.0) {
        let chance = none_above(below + equals.len()) - none_above(below);
        let quality: f64 = equals.iter().map(|(_, quality)| quality).sum();
        expected += chance * quality / equals.len() as f64;
        below += equals.len();
    }
    expected
}

fn strictly_best(candidates: &[(f64, f64)]) -> bool {
    let top = candidates.iter().map(|c| c.0).fold(f64::NEG_INFINITY, f64::max);
    let best = candidates.iter().map(|c| c.1).fold(f64::NEG_INFINITY, f64::max);
    let mut at_top = candidates.iter().filter(|c| c.0 == top);
    matches!((at_top.next(), at_top.next()), (Some((_, quality)), None) if *quality == best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::SeedTree;
    use proptest::prelude::*;

    fn row(id: usize, candidates: &[(f64, f64)]) -> BestOfNRow {
        let candidates = candidates
            .iter()
            .map(|&(score, quality)| Candidate { score: Some(score), quality })
            .collect();
        BestOfNRow { id: format!("p{id}"), candidates }
    }

    fn score(rows: &[BestOfNRow]) -> BestOfNScore {
        let bootstrap = Bootstrap { n_resamples: 50, ..Bootstrap::new(SeedTree::new(0)) };
        best_of_n(rows, &bootstrap).unwrap()
    }

    #[test]
    fn a_perfect_score_picks_as_the_oracle() {
        let found = score(&[row(0, &[(0.1, 0.0), (0.9, 1.0), (0.2, 0.0), (0.3, 0.0)])]);
        assert_eq!((found.picked, found.oracle, found.random), (Some(1.0), Some(1.0), Some(0.25)));
        assert_eq!(found.strict_top_1, Some(1.0));
        let curve: Vec<f64> = found.curve.iter().map(|point| point.quality).collect();
        for (found, expected) in curve.iter().zip([0.25, 0.5, 0.75, 1.0]) {
            assert!((found - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn equal_scores_are_worth_their_mean() {
        let found = score(&[row(0, &[(1.0, 1.0), (1.0, 0.0), (0.0, 0.0)])]);
        assert_eq!((found.picked, found.strict_top_1), (Some(0.5), Some(0.0)));
        let all = score(&[row(0, &[(1.0, 1.0), (1.0, 0.0)])]);
        assert_eq!((all.picked, all.random), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn a_prompt_with_a_failed_candidate_counts_nowhere() {
        let mut rows = vec![row(0, &[(1.0, 1.0)]), row(1, &[(1.0, 0.0), (0.0, 1.0)])];
        rows[1].candidates[0].score = None;
        let found = score(&rows);
        assert_eq!((found.n_rows, found.n_missing, found.picked), (2, 1, Some(1.0)));
        assert_eq!(score(&[]).picked, None);
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        let bootstrap = Bootstrap::new(SeedTree::new(0));
        let refused = |rows: &[BestOfNRow]| best_of_n(rows, &bootstrap).unwrap_err().to_string();
        assert!(refused(&[row(0, &[])]).contains("0 candidates"));
        assert!(refused(&[row(3, &[(f64::NAN, 1.0)])]).contains("`p3` has the score NaN"));
        assert!(refused(&[row(0, &[(0.0, 1.0)]), row(0, &[(0.0, 1.0)])]).contains("twice"));
    }

    proptest! {
        #[test]
        fn the_curve_is_that_of_all_subsets(candidates in prop::collection::vec((0i32..4, 0i32..3), 1..8)) {
            let floats: Vec<(f64, f64)> =
                candidates.iter().map(|&(s, q)| (f64::from(s), f64::from(q))).collect();
            for n in 1..=floats.len() {
                let (mut sum, mut count) = (0.0, 0.0);
                for mask in 0u32..1 << floats.len() {
                    if mask.count_ones() as usize != n { continue; }
                    let drawn: Vec<_> = (0..floats.len()).filter(|i| mask >> i & 1 == 1).map(|i| floats[i]).collect();
                    let top = drawn.iter().map(|d| d.0).fold(f64::MIN, f64::max);
                    let best: Vec<f64> = drawn.iter().filter(|d| d.0 == top).map(|d| d.1).collect();
                    sum += best.iter().sum::<f64>() / best.len() as f64;
                    count += 1.0;
                }
                prop_assert!((expected_pick(&floats, n) - sum / count).abs() < 1e-12);
            }
        }
    }
}
