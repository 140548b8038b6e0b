use crate::EvaluationRecord;
use serde::{Deserialize, Serialize};

/// The numbers of one optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// From 0.
    pub step: usize,
    /// From 0.
    pub epoch: usize,
    /// λ(t).
    pub critique_weight: f64,
    /// Rate of the decoder.
    pub learning_rate: f64,
    /// Nats per critique token; absent when the step had none.
    pub critique_loss: Option<f64>,
    /// Nats per pair; absent when no reward was read.
    pub preference_loss: Option<f64>,
    /// What was minimised.
    pub joint_loss: f64,
    /// Share of the step's comparisons whose chosen response has the higher reward, before the update.
    pub accuracy: Option<f64>,
    /// Norm of the gradient over all parameters, before clipping.
    pub grad_norm: f64,
    /// Distinct tokens computed.
    pub n_tokens: usize,
    /// Tokens that row-by-row training would compute.
    pub n_unshared_tokens: usize,
    /// Wall time, without evaluations; the only number here that differs between two runs.
    pub seconds: f64,
    /// What the held-out pairs said after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<EvaluationRecord>,
}
