use critic_types::Side;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A critique that succeeded, with every number that was read of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampledCritique {
    /// Its text.
    pub text: String,
    /// The reward after it, log-odds.
    pub reward: f64,
    /// The expectation of its score under the model's own distribution, in points of its scale; absent when not read.
    pub expected_score: Option<f64>,
    /// What the meta-judge gives it; absent when it was not asked or could not be read.
    pub meta_score: Option<f64>,
}

/// Everything that was sampled for one response; the one source of every contestant's numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampledResponse {
    /// The reward read right after the response, log-odds: the fast path.
    pub without_critique: Option<f64>,
    /// The critiques that succeeded, in sampling order.
    pub critiques: Vec<SampledCritique>,
    /// Critiques that were asked for and could not be had; never imputed.
    pub n_failed: usize,
}

/// The samples of each response, by the pair's id and the side.
pub type Samples = BTreeMap<(String, Side), SampledResponse>;
