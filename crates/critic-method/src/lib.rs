//! The procedures of Critic-RM on the contracts of `critic-engine`.
//!
//! In the order of a round: [`generate()`] samples N critiques of every response, [`filter()`] keeps
//! those that agree with the preference label, [`refine()`] ranks or summarizes the survivors;
//! after training, [`predict`] averages the rewards of m critiques and [`best_of_n`] picks among
//! responses. Decisions are pure functions of plain data; only `generate`, `response_verdicts` and `refine` call
//! an engine, and they hand over one result per response so that a caller can store it and resume.
//!
//! What is sourced and what is our reading: the shape of every stage comes from a digest of the paper
//! and from texts that quote it; equations, prompts, N and thresholds are not public, so each item
//! here says which of its parts are our reading.
//! This crate knows no tokens, no tensors and no storage.

mod audit;
mod best_of_n;
mod error;
mod expected_score;
mod filter;
mod generate;
mod mistake;
mod no_fields;
mod predict;
mod refine;
mod response;
mod response_verdict;
#[cfg(test)]
mod testing;

pub use audit::{CritiqueAudit, audit};
pub use best_of_n::{BestOfN, best_of_n};
pub use error::MethodError;
pub use expected_score::expected_score;
pub use filter::{
    CandidateVerdict, DropReason, FilterOutcome, FilterReport, FilterRule, FilterSettings,
    PairVerdict, RuleComparison, RuleOutcome, ScoreReport, agreeing_combinations, compare_rules,
    filter,
};
pub use generate::{
    CritiqueSettings, READINGS, critique_request, critique_scores, critiques_from, generate, plan,
};
pub use mistake::locates_mistake;
pub use predict::{ScoreSettings, predict, score_request, score_requests};
pub use refine::{
    Comparison, MetaJudge, MetaScore, PositionConsistency, RefineSettings, Refined, Refinement,
    rank_order, refine,
};
pub use response::{ResponseSink, response_id};
pub use response_verdict::response_verdicts;
