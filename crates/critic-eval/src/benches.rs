//! The exact arithmetic of the field's benches, one file each.
//!
//! A bench takes rows of finished scores and gives its numbers. What failed is `None`: it is left out,
//! counted in `n_missing`, and never imputed. Where the published code imputes (a judge's error as ½, a
//! null decision as wrong), its number stands beside ours under its own name. A section or an overall
//! score whose parts have nothing to count is absent and not zero.
//!
//! Whose data it was is another question, which [`DataOrigin`] answers: a bench's arithmetic may be used
//! on any rows, its title only on its own.

mod best_of_n;
mod critic_bench;
mod cross_eval;
mod judge_bench;
mod mean;
mod origin;
mod pairs;
mod ppe;
mod registry;
mod reward_bench;
mod reward_bench_2;
mod rm_bench;
mod verdicts;

pub use best_of_n::{BestOfNPoint, BestOfNRow, BestOfNScore, Candidate, best_of_n};
pub use critic_bench::{
    CorrectionGain, CorrectionRow, CorrectionScore, CritiqueF1, CritiqueScore, CritiqueVerdict,
    correction_gain, critique_f1,
};
pub use cross_eval::{
    CrossEvalGroup, CrossEvalIntervals, CrossEvalRow, CrossEvalScore, cross_eval,
    cross_eval_intervals,
};
pub use judge_bench::{
    Decision, JudgeBenchRow, JudgeBenchScore, OneGameScore, TiedRewards, TwoGamesScore,
    decision_of_rewards, judge_bench_one_game, judge_bench_two_games,
};
pub use mean::interval_of_mean;
pub use origin::DataOrigin;
pub use pairs::{PairBenchScore, SubsetResult, pair_bench};
pub use ppe::{
    PpeBestOfK, PpeConflictScore, PpeHumanRow, PpeHumanScore, PpeRow, Winner, ppe_best_of_k,
    ppe_conflicts, ppe_human,
};
pub use registry::{Arithmetic, BENCHES, Bench, Source, find_bench};
pub use reward_bench::{
    PriorSets, RewardBenchRow, RewardBenchScore, SectionScore, SubsetScore, SubsetWeights,
    reward_bench,
};
pub use reward_bench_2::{
    DomainScore, RewardBench2Row, RewardBench2Score, TiesScore, reward_bench_2,
};
pub use rm_bench::{RmBenchDomain, RmBenchRow, RmBenchScore, SixScores, rm_bench};
pub use verdicts::{ScoredTruth, f1_interval, fitted_verdicts, right_above_wrong, verdicts_at};

use crate::EvalError;
use std::collections::BTreeSet;

/// Refuses the first score of a row that is NaN or infinite.
fn finite(bench: &'static str, item: &str, scores: &[f64]) -> Result<(), EvalError> {
    match scores.iter().find(|score| !score.is_finite()) {
        Some(&value) => Err(EvalError::BenchScore { bench, item: item.to_owned(), value }),
        None => Ok(()),
    }
}

/// Refuses an id that stands twice.
fn unique<'a>(
    bench: &'static str,
    ids: impl IntoIterator<Item = &'a str>,
) -> Result<(), EvalError> {
    let mut seen = BTreeSet::new();
    match ids.into_iter().find(|id| !seen.insert(*id)) {
        Some(item) => Err(EvalError::BenchTwice { bench, item: item.to_owned() }),
        None => Ok(()),
    }
}

/// The rows of one part of a bench.
#[derive(Debug, Default)]
struct Part {
    n_rows: usize,
    /// (chosen, rejected) of those that have both.
    scored: Vec<(f64, f64)>,
}

/// The mean, absent for an empty list.
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The mean when every part is there.
fn mean_of_all(parts: &[Option<f64>]) -> Option<f64> {
    mean(&parts.iter().copied().collect::<Option<Vec<f64>>>()?)
}
