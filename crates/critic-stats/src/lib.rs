//! Statistics of preference: Bradley–Terry, agreement, calibration, intervals, paired tests, critiques.
//!
//! Everything is a pure function of `f64` slices; what is random takes a [`critic_types::SeedTree`].
//! Every rate comes with its count, every count says what it counts, and an [`Interval`] carries its
//! confidence. What is not defined for the input is an error that names the place, never a number.
//! This crate knows no tensors, no model and no file.

mod agreement;
mod bootstrap;
pub mod bradley_terry;
pub mod calibration;
mod clusters;
pub mod correlation;
pub mod critiques;
mod error;
mod holm;
mod interval;
mod log_space;
mod margins;
pub mod mcnemar;
mod paired;
mod permutation;
mod preference_loss;
mod seeds;
mod summary;
mod temperature;
mod variance;

pub use agreement::{Agreement, TieRule, pairwise_accuracy};
pub use bootstrap::{Bootstrap, bootstrap_interval, bootstrap_statistic};
pub use clusters::{
    Clusters, clustered_bootstrap_interval, clustered_share_interval, clustered_standard_error,
};
pub use error::StatsError;
pub use holm::holm;
pub use interval::{Interval, wilson_interval};
pub use log_space::{log_sigmoid, log_sum_exp, softplus};
pub use margins::{
    HistogramBin, MarginSummary, histogram, margin_histogram, margin_summary, shared_histograms,
};
pub use paired::{PairedDifference, clustered_paired_bootstrap, paired_bootstrap};
pub use permutation::{PermutationTest, paired_permutation_test};
pub use preference_loss::{MarginUse, PairLoss, PreferenceLoss};
pub use seeds::{SeedEffect, SeedsAndItems, seed_effect, seeds_and_items};
pub use summary::{MeanStd, mean_std};
pub use temperature::Temperature;
pub use variance::{VarianceComponents, effective_sample_size, variance_components};
