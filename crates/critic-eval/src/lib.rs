//! Contestants on held-out pairs.
//!
//! A [`Contestant`] has a number for every response: a reward model with m critiques, without any, or
//! a control that reads nothing but length or words. [`evaluate`] says how often it ranks a pair as the
//! label does, [`compare`] whether two differ on the same pairs. A missing number is counted and never
//! imputed; what could not be measured is absent and never zero.
//! This crate runs no model: it reads predictions that others made.

mod accuracy;
mod bag_of_words;
pub mod benches;
mod compare;
mod contestant;
mod error;
mod evaluate;
mod length;

pub use accuracy::{Accuracy, CONFIDENCE};
pub use bag_of_words::bag_of_words_control;
pub use compare::{PairedComparison, compare};
pub use contestant::{Contestant, PredictionScale, Predictions};
pub use error::EvalError;
pub use evaluate::{ContestantResult, DomainResult, evaluate};
pub use length::{LengthUnit, length_control};

#[cfg(test)]
mod fixtures;
