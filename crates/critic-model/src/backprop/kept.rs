use super::room::Room;
use crate::error::ModelError;
use critic_kernels::bf16::{round, widen};
use half::bf16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What the forward pass keeps of every layer for the backward pass.
///
/// A layer keeps `2·d_model + 2·n_heads·head_dim + 2·n_kv_heads·head_dim + n_heads + 2·d_ff` numbers a
/// token; norms on queries and keys keep `(n_heads + n_kv_heads)·head_dim` more, norms after each part
/// `2·d_model` more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activations {
    /// All of them as they are: the fastest, the most memory.
    F32,
    /// All of them rounded to bf16: half the memory; the gradients are those of the rounded numbers.
    Bf16,
    /// Its input alone; the rest is computed again, at a third more arithmetic and with the same bits.
    Recompute,
}

/// The activations of one layer that its backward pass reads.
#[derive(Debug, Default)]
pub(super) struct LayerActivations {
    /// The residual stream that enters, `[n_tokens, d_model]`.
    pub(super) input: Vec<f32>,
    /// Queries before their norm, where they have one, as `q`.
    pub(super) q_plain: Vec<f32>,
    /// Keys before their norm, where they have one, as `k`.
    pub(super) k_plain: Vec<f32>,
    /// Rotated queries, `[n_tokens, n_heads · head_dim]`.
    pub(super) q: Vec<f32>,
    /// Rotated keys, `[n_tokens, n_kv_heads · head_dim]`.
    pub(super) k: Vec<f32>,
    /// Values, as `k`.
    pub(super) v: Vec<f32>,
    /// What the heads give, as `q`.
    pub(super) attended: Vec<f32>,
    /// Of the attention, `[n_tokens, n_heads]`.
    pub(super) log_sum_exp: Vec<f32>,
    /// What the attention gives, before the norm that follows, where there is one, as `input`.
    pub(super) attention_out: Vec<f32>,
    /// The residual stream between attention and feed-forward network, as `input`.
    pub(super) middle: Vec<f32>,
    /// The gate before its activation, `[n_tokens, d_ff]`.
    pub(super) gate: Vec<f32>,
    /// What it gates, as `gate`.
    pub(super) up: Vec<f32>,
    /// What the feed-forward network gives, before the norm that follows, where there is one, as `input`.
    pub(super) feed_forward_out: Vec<f32>,
}

impl LayerActivations {
    fn parts(&mut self) -> [&mut Vec<f32>; 12] {
        let Self {
            input,
            q_plain,
            k_plain,
            q,
            k,
            v,
            attended,
            log_sum_exp: _,
            attention_out,
            middle,
            gate,
            up,
            feed_forward_out,
        } = self;
        [
            input,
            q_plain,
            k_plain,
            q,
            k,
            v,
            attended,
            attention_out,
            middle,
            gate,
            up,
            feed_forward_out,
        ]
    }
}

/// The activations of all layers, in the form that was asked for.
#[derive(Debug)]
pub(super) enum Kept {
    F32(Vec<LayerActivations>),
    Bf16 { at_work: LayerActivations, layers: Vec<Rounded> },
    Recompute { at_work: LayerActivations, inputs: Vec<Vec<f32>> },
}

/// The activations of a layer in bf16; the log-sum-exp, to which probabilities are sensitive, in f32.
#[derive(Debug, Default)]
pub(super) struct Rounded {
    parts: [Vec<bf16>; 12],
    log_sum_exp: Vec<f32>,
}

impl Kept {
    pub(super) fn new(activations: Activations, n_layers: usize) -> Self {
        let at_work = LayerActivations::default();
        match activations {
            Activations::F32 => Self::F32((0..n_layers).map(|_| Default::default()).collect()),
            Activations::Bf16 => {
                Self::Bf16 { at_work, layers: (0..n_layers).map(|_| Default::default()).collect() }
            }
            Activations::Recompute => {
                Self::Recompute { at_work, inputs: vec![Vec::new(); n_layers] }
            }
        }
    }

    /// Where the forward pass of a layer puts its activations.
    pub(super) fn at_work(&mut self, layer_idx: usize) -> &mut LayerActivations {
        match self {
            Self::F32(layers) => &mut layers[layer_idx],
            Self::Bf16 { at_work, .. } | Self::Recompute { at_work, .. } => at_work,
        }
    }

    /// Keeps what stands in [`at_work`](Self::at_work).
    pub(super) fn keep(&mut self, layer_idx: usize) -> Result<(), ModelError> {
        match self {
            Self::F32(_) => {}
            Self::Bf16 { at_work, layers } => {
                let Rounded { parts, log_sum_exp } = &mut layers[layer_idx];
                log_sum_exp.clone_from(&at_work.log_sum_exp);
                parts.par_iter_mut().zip(at_work.parts()).try_for_each(|(kept, part)| {
                    kept.fit(part.len());
                    round(part, kept)
                })?;
            }
            Self::Recompute { at_work, inputs } => {
                inputs[layer_idx].fit(at_work.input.len());
                inputs[layer_idx].copy_from_slice(&at_work.input);
            }
        }
        Ok(())
    }

    /// The activations of a layer for its backward pass, and whether all but its input must be computed
    /// again.
    pub(super) fn recall(
        &mut self,
        layer_idx: usize,
    ) -> Result<(&mut LayerActivations, bool), ModelError> {
        Ok(match self {
            Self::F32(layers) => (&mut layers[layer_idx], false),
            Self::Bf16 { at_work, layers } => {
                let Rounded { parts, log_sum_exp } = &layers[layer_idx];
                at_work.log_sum_exp.clone_from(log_sum_exp);
                parts.par_iter().zip(at_work.parts()).try_for_each(|(kept, part)| {
                    part.fit(kept.len());
                    widen(kept, part)
                })?;
                (at_work, false)
            }
            Self::Recompute { at_work, inputs } => {
                at_work.input.clone_from(&inputs[layer_idx]);
                (at_work, true)
            }
        })
    }
}
