use super::{finite, mean, unique};
use crate::{Accuracy, EvalError};
use critic_stats::TieRule;
use critic_types::SeedTree;
use serde::{Deserialize, Serialize};

const BENCH: &str = "PPE";

/// Who won a human comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    /// The first response.
    ModelA,
    /// The second.
    ModelB,
    /// Neither; such rows are not scored.
    Tie,
}

/// A row of the human part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PpeHumanRow {
    /// The published `question_id`.
    pub id: String,
    /// The published `winner`.
    pub winner: Winner,
    /// Rewards of both responses; absent when scoring failed.
    pub rewards: Option<(f64, f64)>,
}

/// The human part's number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PpeHumanScore {
    /// Rows given.
    pub n_rows: usize,
    /// Rows that the humans tied; left out.
    pub n_human_ties: usize,
    /// Rows with a winner but without rewards.
    pub n_missing: usize,
    /// The winner has the larger reward; absent when nothing counts.
    pub accuracy: Option<Accuracy>,
}

/// Accuracy on PPE's human preferences, over rows with a winner.
///
/// # Errors
/// [`EvalError::BenchScore`] for a reward that is not finite.
pub fn ppe_human(rows: &[PpeHumanRow], tie_rule: TieRule) -> Result<PpeHumanScore, EvalError> {
    let (mut pairs, mut n_human_ties, mut n_missing) = (Vec::new(), 0, 0);
    for row in rows {
        let Some((a, b)) = row.rewards else {
            n_missing += usize::from(row.winner != Winner::Tie);
            n_human_ties += usize::from(row.winner == Winner::Tie);
            continue;
        };
        finite(BENCH, &row.id, &[a, b])?;
        match row.winner {
            Winner::ModelA => pairs.push((a, b)),
            Winner::ModelB => pairs.push((b, a)),
            Winner::Tie => n_human_ties += 1,
        }
    }
    let accuracy = Accuracy::of(&pairs, tie_rule)
        .map_err(|source| EvalError::Statistic { contestant: BENCH.to_owned(), source })?;
    Ok(PpeHumanScore { n_rows: rows.len(), n_human_ties, n_missing, accuracy })
}

/// A prompt of the correctness part with its K responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PpeRow {
    /// The published `question_id` and benchmark.
    pub id: String,
    /// Whether each response is right (the published `scores`).
    pub truth: Vec<bool>,
    /// Pairs of responses of which one is right (the published `sampled_conflict_pairs`).
    pub conflict_pairs: Vec<(usize, usize)>,
    /// The contestant's reward of each response; absent when one failed.
    pub rewards: Option<Vec<f64>>,
}

/// The numbers on conflict pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PpeConflictScore {
    /// Prompts given.
    pub n_rows: usize,
    /// Prompts without rewards.
    pub n_missing: usize,
    /// Prompts with rewards and without a conflict pair; not in `accuracy`.
    pub n_without_pairs: usize,
    /// Mean over prompts of the share of pairs with (truth_i > truth_j) = (r_i > r_j).
    pub accuracy: Option<f64>,
    /// Chance that a right response ranks above a wrong one, pooled over prompts after each prompt's
    /// rewards are stretched to 0–1 (all ½ when equal); absent when all are right or all wrong.
    pub auc: Option<f64>,
}

/// Conflict-pair accuracy and pooled AUC of PPE's correctness part.
///
/// The arithmetic of a third-party re-implementation; not checked against the authors' code. In it a tie
/// is right for a pair whose second response is the right one: (truth_i > truth_j) is then false, and so
/// is (r_i > r_j).
///
/// # Errors
/// [`EvalError::BenchCount`] when a row's lists differ in length or a pair points outside them,
/// [`EvalError::BenchScore`], [`EvalError::BenchTwice`].
pub fn ppe_conflicts(rows: &[PpeRow]) -> Result<PpeConflictScore, EvalError> {
    check(rows)?;
    let (mut shares, mut pooled, mut n_scored) = (Vec::new(), Vec::new(), 0);
    for row in rows {
        let Some(rewards) = &row.rewards else { continue };
        n_scored += 1;
        let agrees = row.conflict_pairs.iter().map(|&(i, j)| {
            let truth = row.truth[i] && !row.truth[j];
            f64::from(u8::from(truth == (rewards[i] > rewards[j])))
        });
        shares.extend(mean(&agrees.collect::<Vec<_>>()));
        pooled.extend(stretched(rewards).into_iter().zip(row.truth.iter().copied()));
    }
    Ok(PpeConflictScore {
        n_rows: rows.len(),
        n_missing: rows.len() - n_scored,
        n_without_pairs: n_scored - shares.len(),
        accuracy: mean(&shares),
        auc: rank_auc(pooled),
    })
}

/// The numbers of best-of-K.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PpeBestOfK {
    /// Prompts given.
    pub n_rows: usize,
    /// Prompts without rewards.
    pub n_missing: usize,
    /// Mean over trajectories of their largest value.
    pub max_score: Option<f64>,
    /// Mean over trajectories of the value at K.
    pub end_score: Option<f64>,
    /// Mean over trajectories and steps of (oracle − picked)².
    pub loss: Option<f64>,
    /// Mean of the trajectories, from one response to the fewest K of a prompt.
    pub curve: Vec<f64>,
    /// Mean of the oracle's.
    pub oracle_curve: Vec<f64>,
    /// Orders of the responses of each prompt.
    pub n_orders: usize,
}

/// Best-of-K of PPE's correctness part: what is picked while responses come one by one.
///
/// For each prompt and each of `n_orders` random orders (published: 100), the k-th value of the
/// trajectory is whether the response with the highest reward among the first k is right (the first
/// highest wins), and the oracle's whether any of them is. The arithmetic of a third-party
/// re-implementation; not checked against the authors' code. The orders belong to `seed` and the row's
/// id. [`best_of_n`](super::best_of_n) gives the expectation of the curve without drawing.
///
/// # Errors
/// As [`ppe_conflicts`], and [`EvalError::BenchCount`] when `n_orders` is 0.
pub fn ppe_best_of_k(
    rows: &[PpeRow],
    n_orders: usize,
    seed: SeedTree,
) -> Result<PpeBestOfK, EvalError> {
    check(rows)?;
    if n_orders == 0 {
        return Err(count("of all prompts", "orders", 0, "at least 1, published 100".to_owned()));
    }
    let scored: Vec<(&PpeRow, &Vec<f64>)> =
        rows.iter().filter_map(|row| Some((row, row.rewards.as_ref()?))).collect();
    let fewest = scored.iter().map(|(_, rewards)| rewards.len()).min().unwrap_or(0);
    let (mut curve, mut oracle_curve) = (vec![0.0; fewest], vec![0.0; fewest]);
    let (mut maxima, mut ends, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    let n_trajectories = (scored.len() * n_orders) as f64;
    for (row, rewards) in &scored {
        for index in 0..n_orders {
            let order = seed.child(&row.id).index(index as u64).permutation(rewards.len());
            let (picked, oracle) = trajectory(&order, rewards, &row.truth);
            for k in 0..fewest {
                curve[k] += picked[k] / n_trajectories;
                oracle_curve[k] += oracle[k] / n_trajectories;
            }
            maxima.push(picked.iter().copied().fold(0.0, f64::max));
            ends.extend(picked.last());
            let gaps: Vec<f64> = picked.iter().zip(&oracle).map(|(p, o)| (o - p).powi(2)).collect();
            losses.extend(mean(&gaps));
        }
    }
    Ok(PpeBestOfK {
        n_rows: rows.len(),
        n_missing: rows.len() - scored.len(),
        max_score: mean(&maxima),
        end_score: mean(&ends),
        loss: mean(&losses),
        curve,
        oracle_curve,
        n_orders,
    })
}

/// Whether the pick and whether anything is right, after each response of this order.
fn trajectory(order: &[usize], rewards: &[f64], truth: &[bool]) -> (Vec<f64>, Vec<f64>) {
    let (mut best, mut any) = (order[0], false);
    order
        .iter()
        .map(|&next| {
            if rewards[next] > rewards[best] {
                best = next;
            }
            any |= truth[next];
            (f64::from(u8::from(truth[best])), f64::from(u8::from(any)))
        })
        .unzip()
}

fn stretched(rewards: &[f64]) -> Vec<f64> {
    let low = rewards.iter().copied().fold(f64::INFINITY, f64::min);
    let high = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let place = |reward: f64| if low == high { 0.5 } else { (reward - low) / (high - low) };
    rewards.iter().map(|&reward| place(reward)).collect()
}

/// (concordant + ½ tied) of all pairs of a right and a wrong response.
pub(super) fn rank_auc(mut points: Vec<(f64, bool)>) -> Option<f64> {
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wrong_below, mut credit, mut n_right) = (0.0, 0.0, 0.0);
    for equals in points.chunk_by(|a, b| a.0 == b.0) {
        let right = equals.iter().filter(|(_, right)| *right).count() as f64;
        let wrong = equals.len() as f64 - right;
        credit += right * (wrong_below + 0.5 * wrong);
        wrong_below += wrong;
        n_right += right;
    }
    (n_right > 0.0 && wrong_below > 0.0).then(|| credit / (n_right * wrong_below))
}

fn count(item: &str, what: &'static str, found: usize, needed: String) -> EvalError {
    EvalError::BenchCount { bench: BENCH, item: item.to_owned(), what, found, needed }
}

fn check(rows: &[PpeRow]) -> Result<(), EvalError> {
    unique(BENCH, rows.iter().map(|row| row.id.as_str()))?;
    for row in rows {
        let k = row.truth.len();
        if k == 0 {
            return Err(count(&row.id, "responses", 0, "at least 1".to_owned()));
        }
        if let Some(&(i, j)) = row.conflict_pairs.iter().find(|(i, j)| i.max(j) >= &k) {
            let needed = format!("more than {}, which a conflict pair names", i.max(j));
            return Err(count(&row.id, "responses", k, needed));
        }
        if let Some(rewards) = &row.rewards {
            if rewards.len() != k {
                let needed = format!("{k}, one for each response");
                return Err(count(&row.id, "rewards", rewards.len(), needed));
            }
            finite(BENCH, &row.id, rewards)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, truth: &[bool], rewards: &[f64], pairs: &[(usize, usize)]) -> PpeRow {
        PpeRow {
            id: id.to_owned(),
            truth: truth.to_vec(),
            conflict_pairs: pairs.to_vec(),
            rewards: Some(rewards.to_vec()),
        }
    }

    #[test]
    fn a_prompt_weighs_the_same_however_many_pairs_it_has() {
        let rows = [
            row("a", &[true, false, false], &[3.0, 1.0, 2.0], &[(0, 1), (2, 0)]),
            row("b", &[true, false], &[0.0, 1.0], &[(0, 1)]),
            row("c", &[true, true], &[0.0, 1.0], &[]),
        ];
        let found = ppe_conflicts(&rows).unwrap();
        assert_eq!((found.accuracy, found.n_without_pairs), (Some(0.5), 1));
    }

    #[test]
    fn a_tie_is_right_when_the_second_is() {
        let rewards = [1.0, 1.0];
        let accuracy =
            |pair| ppe_conflicts(&[row("a", &[true, false], &rewards, &[pair])]).unwrap().accuracy;
        assert_eq!((accuracy((0, 1)), accuracy((1, 0))), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn the_pooled_auc_stretches_each_prompt() {
        let rows = [
            row("a", &[true, false], &[900.0, 100.0], &[]),
            row("b", &[true, false], &[0.2, 0.1], &[]),
        ];
        assert_eq!(ppe_conflicts(&rows).unwrap().auc, Some(1.0));
        let constant = [row("a", &[true, false, true], &[4.0; 3], &[])];
        assert_eq!(ppe_conflicts(&constant).unwrap().auc, Some(0.5));
        let all_right = [row("a", &[true, true], &[1.0, 2.0], &[])];
        assert_eq!(ppe_conflicts(&all_right).unwrap().auc, None);
    }

    #[test]
    fn drawn_orders_come_near_their_expectation() {
        use crate::benches::{BestOfNRow, Candidate, best_of_n};
        use critic_stats::Bootstrap;
        let truth = [true, false, true, false, false];
        let rewards = [0.5, 0.9, 0.7, -1.0, 0.1];
        let found =
            ppe_best_of_k(&[row("a", &truth, &rewards, &[])], 4000, SeedTree::new(5)).unwrap();
        let candidates = rewards
            .iter()
            .zip(truth)
            .map(|(&score, right)| Candidate {
                score: Some(score),
                quality: f64::from(u8::from(right)),
            })
            .collect();
        let bootstrap = Bootstrap { n_resamples: 10, ..Bootstrap::new(SeedTree::new(0)) };
        let exact =
            best_of_n(&[BestOfNRow { id: "a".to_owned(), candidates }], &bootstrap).unwrap();
        for (k, point) in exact.curve.iter().enumerate() {
            assert!((found.curve[k] - point.quality).abs() < 0.03, "{k} {found:?}");
            assert!((found.oracle_curve[k] - point.oracle).abs() < 0.03, "{k} {found:?}");
        }
        assert_eq!(found.end_score, Some(0.0));
        assert!(found.max_score > found.end_score && found.loss > Some(0.0));
    }

    #[test]
    fn humans_ties_and_failures_are_left_out_and_counted() {
        let row = |winner, rewards| PpeHumanRow { id: "q".to_owned(), winner, rewards };
        let rows = [
            row(Winner::ModelA, Some((2.0, 1.0))),
            row(Winner::ModelB, Some((2.0, 1.0))),
            row(Winner::Tie, Some((2.0, 1.0))),
            row(Winner::ModelB, None),
        ];
        let found = ppe_human(&rows, TieRule::Wrong).unwrap();
        assert_eq!((found.n_human_ties, found.n_missing), (1, 1));
        assert_eq!(found.accuracy.unwrap().agreement.accuracy, 0.5);
        assert_eq!(ppe_human(&[], TieRule::Wrong).unwrap().accuracy, None);
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        let refused = |row| ppe_conflicts(&[row]).unwrap_err().to_string();
        assert!(refused(row("a", &[true], &[1.0, 2.0], &[])).contains("2 rewards; it needs 1"));
        assert!(refused(row("a", &[true, false], &[1.0, 2.0], &[(0, 2)])).contains("2 responses"));
        assert!(refused(row("a", &[true], &[f64::INFINITY], &[])).contains("the score inf"));
        assert!(refused(row("a", &[], &[], &[])).contains("0 responses"));
        assert!(ppe_best_of_k(&[], 0, SeedTree::new(0)).is_err());
        assert_eq!(ppe_best_of_k(&[], 5, SeedTree::new(0)).unwrap().end_score, None);
    }
}
