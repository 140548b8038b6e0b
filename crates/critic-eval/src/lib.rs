//! Contestants on held-out pairs, and the field's benches.
//!
//! A [`Contestant`] has a number for every response: a reward model with m critiques, without any, or
//! a control that reads nothing but length or words. [`read_contestant`] makes one of samples that were
//! drawn once ([`Samples`]), in every way that needs no new draw. [`evaluate`] says how often it ranks a
//! pair as the label does, [`compare`] and [`compare_all`] whether two differ on the same pairs,
//! [`study`] does so for the runs of a grid over seeds, [`diagnose`] says what lies behind, [`study_critiques`] what several critiques are worth; [`benches`] has
//! the exact arithmetic of published benches. A missing number is counted and never imputed; what could
//! not be measured is absent and never zero.
//! This crate runs no model: it reads predictions that others made.

mod accuracy;
mod bag_of_words;
pub mod benches;
mod compare;
mod compare_all;
mod contestant;
mod critique_study;
mod diagnostics;
mod error;
mod evaluate;
mod length;
mod predictions_json;
mod readout;
mod samples;
mod study;
mod style;

pub use accuracy::{Accuracy, CONFIDENCE};
pub use bag_of_words::bag_of_words_control;
pub use compare::{PairedComparison, compare};
pub use compare_all::{CorrectedComparison, compare_all, compare_matches};
pub use contestant::{Contestant, PredictionScale, Predictions};
pub use critique_study::{CritiqueFindings, CritiqueStudy, study_critiques};
pub use diagnostics::{Diagnostics, StyleCorrelation, diagnose, fit_temperature};
pub use error::EvalError;
pub use evaluate::{ContestantResult, DomainResult, evaluate};
pub use length::{LengthUnit, length_control};
pub use predictions_json::{
    ModelCard, Written, write_reward_bench_outputs, write_reward_bench_subsets,
    write_reward_bench_summary,
};
pub use readout::{Reading, Readout, read_contestant};
pub use samples::{SampledCritique, SampledResponse, Samples};
pub use study::{StudyDifference, StudyRow, StudyRun, study};
pub use style::StyleFeature;

#[cfg(test)]
mod fixtures;
