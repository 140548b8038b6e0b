use super::finite;
use crate::{Accuracy, EvalError};
use critic_stats::TieRule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const BENCH: &str = "JudgeBench";

/// The published categories by the beginning of `source`, and the pairs of the GPT-4o set in each.
pub(super) const CATEGORIES: [(&str, usize); 4] =
    [("mmlu-pro", 154), ("livebench-reasoning", 98), ("livebench-math", 56), ("livecodebench", 42)];

/// Which of two responses is said to be better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// `A>B`: the first.
    #[serde(rename = "A>B")]
    First,
    /// `B>A`: the second.
    #[serde(rename = "B>A")]
    Second,
    /// `A=B`.
    #[serde(rename = "A=B")]
    Tie,
}

impl Decision {
    /// The same decision with the responses swapped.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Decision::First => Decision::Second,
            Decision::Second => Decision::First,
            Decision::Tie => Decision::Tie,
        }
    }
}

/// What two equal rewards decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TiedRewards {
    /// Neither response: never right.
    Tie,
    /// The second, as the published code has it: right whenever the label says so, so that a scorer
    /// which never tells responses apart gets 44.9 % of the GPT-4o set.
    Second,
}

/// The decision of a scorer that rates each response by itself: the larger reward.
///
/// # Errors
/// [`EvalError::BenchScore`] with `item` when a reward is not finite.
pub fn decision_of_rewards(
    item: &str,
    first: f64,
    second: f64,
    tied: TiedRewards,
) -> Result<Decision, EvalError> {
    finite(BENCH, item, &[first, second])?;
    Ok(match (first > second, first == second, tied) {
        (true, ..) => Decision::First,
        (_, true, TiedRewards::Tie) => Decision::Tie,
        _ => Decision::Second,
    })
}

/// A pair of JudgeBench with a judge's decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeBenchRow {
    /// The published `pair_id`.
    pub id: String,
    /// The published `source`; its beginning names the category.
    pub source: String,
    /// Which response is right; never a tie.
    pub label: Decision,
    /// Decisions as they were given: first with the responses in order, then swapped. Absent when the
    /// judge failed or could not be read.
    pub games: [Option<Decision>; 2],
}

/// A score over all pairs and by category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeBenchScore<Score> {
    /// Over all pairs.
    pub overall: Score,
    /// By the beginning of `source`, for those with pairs; other sources are in none.
    pub categories: BTreeMap<String, Score>,
}

/// A judge asked once for each pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneGameScore {
    /// Pairs given.
    pub n_pairs: usize,
    /// Pairs without a decision.
    pub n_missing: usize,
    /// Decision = label over the decided pairs, a tie being wrong; absent when none was decided.
    pub accuracy: Option<Accuracy>,
    /// The published number: right pairs over all pairs, a missing decision being wrong.
    pub published: Option<f64>,
}

/// A judge asked twice for each pair, the second time with the responses swapped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TwoGamesScore {
    /// Pairs given.
    pub n_pairs: usize,
    /// Pairs that lack one decision or both.
    pub n_missing: usize,
    /// Over pairs with both decisions: right when one is and the other is not wrong.
    pub accuracy: Option<Accuracy>,
    /// Over pairs with both decisions: both are right (what EvalPlanner and J1 report).
    pub position_consistent: Option<Accuracy>,
    /// Pairs with both decisions, which name different responses (or a tie and a response).
    pub n_inconsistent: usize,
    /// The published number over all pairs: Σ over both games of +1 right, −1 wrong, 0 tie or missing,
    /// is larger than 0.
    pub published: Option<f64>,
}

/// JudgeBench (Tan et al. 2024) with one game a pair, as it is run for scorers without a position.
///
/// Reads the first game.
///
/// # Errors
/// [`EvalError::BenchValue`] for a label that is a tie.
pub fn judge_bench_one_game(
    rows: &[JudgeBenchRow],
) -> Result<JudgeBenchScore<OneGameScore>, EvalError> {
    by_category(rows, |rows| {
        let right: Vec<Option<bool>> =
            rows.iter().map(|row| row.games[0].map(|decision| decision == row.label)).collect();
        Ok(OneGameScore {
            n_pairs: rows.len(),
            n_missing: right.iter().filter(|right| right.is_none()).count(),
            accuracy: accuracy_of(right.iter().flatten().copied())?,
            published: share_of(right.iter().filter(|right| **right == Some(true)).count(), rows),
        })
    })
}

/// JudgeBench with two games a pair, the second with the responses swapped.
///
/// # Errors
/// [`EvalError::BenchValue`] for a label that is a tie.
pub fn judge_bench_two_games(
    rows: &[JudgeBenchRow],
) -> Result<JudgeBenchScore<TwoGamesScore>, EvalError> {
    by_category(rows, |rows| {
        let decided: Vec<(Decision, [Decision; 2])> = rows
            .iter()
            .filter_map(|row| Some((row.label, [row.games[0]?, row.games[1]?.flipped()])))
            .collect();
        let n_published = rows
            .iter()
            .filter(|row| {
                let decisions = [row.games[0], row.games[1].map(Decision::flipped)];
                points(row.label, decisions.into_iter().flatten()) > 0
            })
            .count();
        Ok(TwoGamesScore {
            n_pairs: rows.len(),
            n_missing: rows.len() - decided.len(),
            accuracy: accuracy_of(decided.iter().map(|(label, both)| points(*label, *both) > 0))?,
            position_consistent: accuracy_of(
                decided.iter().map(|(label, both)| both == &[*label; 2]),
            )?,
            n_inconsistent: decided.iter().filter(|(_, both)| both[0] != both[1]).count(),
            published: share_of(n_published, rows),
        })
    })
}

fn points(label: Decision, decisions: impl IntoIterator<Item = Decision>) -> i32 {
    decisions
        .into_iter()
        .map(|decision| i32::from(decision == label) - i32::from(decision == label.flipped()))
        .sum()
}

fn accuracy_of(right: impl Iterator<Item = bool>) -> Result<Option<Accuracy>, EvalError> {
    let pairs: Vec<(f64, f64)> = right.map(|right| (f64::from(u8::from(right)), 0.5)).collect();
    Accuracy::of(&pairs, TieRule::Wrong)
        .map_err(|source| EvalError::Statistic { contestant: BENCH.to_owned(), source })
}

fn share_of(n: usize, rows: &[&JudgeBenchRow]) -> Option<f64> {
    (!rows.is_empty()).then(|| n as f64 / rows.len() as f64)
}

fn by_category<Score>(
    rows: &[JudgeBenchRow],
    score: impl Fn(&[&JudgeBenchRow]) -> Result<Score, EvalError>,
) -> Result<JudgeBenchScore<Score>, EvalError> {
    if let Some(row) = rows.iter().find(|row| row.label == Decision::Tie) {
        return Err(EvalError::BenchValue {
            bench: BENCH,
            item: row.id.clone(),
            column: "label",
            found: "A=B".to_owned(),
            known: "A>B, B>A".to_owned(),
        });
    }
    let overall = score(&rows.iter().collect::<Vec<_>>())?;
    let mut categories = BTreeMap::new();
    for (category, _) in CATEGORIES {
        let members: Vec<&JudgeBenchRow> =
            rows.iter().filter(|row| row.source.starts_with(category)).collect();
        if !members.is_empty() {
            categories.insert(category.to_owned(), score(&members)?);
        }
    }
    Ok(JudgeBenchScore { overall, categories })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{First, Second, Tie};

    fn row(label: Decision, first: Option<Decision>, second: Option<Decision>) -> JudgeBenchRow {
        let source = "mmlu-pro-physics".to_owned();
        JudgeBenchRow { id: "p".to_owned(), source, label, games: [first, second] }
    }

    #[track_caller]
    fn check(first: Option<Decision>, second: Option<Decision>, published: f64, ours: Option<f64>) {
        let found = judge_bench_two_games(&[row(First, first, second)]).unwrap().overall;
        assert_eq!(found.published, Some(published));
        assert_eq!(found.accuracy.map(|accuracy| accuracy.agreement.accuracy), ours);
        assert_eq!(found.n_missing, usize::from(ours.is_none()));
    }

    #[test]
    fn two_games_count_as_published() {
        check(Some(First), Some(Second), 1.0, Some(1.0));
        check(Some(First), Some(First), 0.0, Some(0.0));
        check(Some(First), Some(Tie), 1.0, Some(1.0));
        check(Some(Tie), Some(Tie), 0.0, Some(0.0));
        check(Some(Second), Some(First), 0.0, Some(0.0));
        check(Some(First), None, 1.0, None);
        check(None, None, 0.0, None);
    }

    #[test]
    fn consistency_needs_both_games() {
        let rows = [
            row(First, Some(First), Some(Second)),
            row(First, Some(First), Some(Tie)),
            row(Second, Some(Second), Some(Second)),
            row(Second, Some(Second), None),
        ];
        let found = judge_bench_two_games(&rows).unwrap().overall;
        assert_eq!(found.position_consistent.unwrap().agreement.n_correct, 1);
        assert_eq!((found.n_missing, found.n_inconsistent), (1, 2));
        assert_eq!(found.published, Some(0.75));
    }

    #[test]
    fn one_game_reads_the_first() {
        let mut rows = vec![row(First, Some(First), None), row(Second, None, Some(Second))];
        rows.push(row(First, Some(Tie), None));
        rows[2].source = "livecodebench".to_owned();
        let found = judge_bench_one_game(&rows).unwrap();
        assert_eq!(found.overall.accuracy.unwrap().agreement.accuracy, 0.5);
        assert_eq!(found.overall.published, Some(1.0 / 3.0));
        assert_eq!(found.categories["mmlu-pro"].n_pairs, 2);
        assert_eq!(found.categories["livecodebench"].published, Some(0.0));
        assert_eq!(found.categories.len(), 2);
        assert_eq!(judge_bench_one_game(&[]).unwrap().overall.published, None);
    }

    #[test]
    fn equal_rewards_decide_as_stated() {
        let decide = |tied| decision_of_rewards("p", 1.0, 1.0, tied).unwrap();
        assert_eq!((decide(TiedRewards::Tie), decide(TiedRewards::Second)), (Tie, Second));
        assert_eq!(decision_of_rewards("p", 2.0, 1.0, TiedRewards::Second).unwrap(), First);
        assert!(decision_of_rewards("p", f64::NAN, 1.0, TiedRewards::Tie).is_err());
        assert!(judge_bench_one_game(&[row(Tie, None, None)]).is_err());
    }
}
