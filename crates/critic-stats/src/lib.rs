//! Statistics of preference: Bradley–Terry, agreement, intervals, paired tests.
//!
//! Everything is a pure function of `f64` slices; what is random takes a [`critic_types::SeedTree`].
//! Every rate comes with its count, every count says what it counts, and an [`Interval`] carries its
//! confidence.
//! This crate knows no tensors, no model and no file.

mod agreement;
pub mod bradley_terry;
mod error;
mod interval;
mod log_space;
mod paired;
mod summary;

pub use agreement::{Agreement, TieRule, pairwise_accuracy};
pub use error::StatsError;
pub use interval::{Bootstrap, Interval, bootstrap_interval, wilson_interval};
pub use log_space::{log_sigmoid, log_sum_exp, softplus};
pub use paired::{PairedDifference, mcnemar, paired_bootstrap};
pub use summary::{MeanStd, mean_std};
