use super::gradients::Gradients;
use super::kept::LayerActivations;
use super::parameters::{LayerIds, Parameters};
use super::pass::Batch;
use super::projection::AdapterScratch;
use crate::error::ModelError;
use critic_kernels::linear::Update;
use critic_kernels::{attention, rms_norm, rope, swiglu};
use std::cell::RefCell;

/// Buffers of a layer at work that no other layer needs.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// A normed stream, `[n_tokens, d_model]`.
    normed: Vec<f32>,
    /// The gated feed-forward numbers and their gradient, `[n_tokens, d_ff]`.
    inner: Vec<f32>,
    grad_normed: Vec<f32>,
    grad_attended: Vec<f32>,
    grad_q: Vec<f32>,
    grad_k: Vec<f32>,
    grad_v: Vec<f32>,
}

/// A layer with its place among the parameters and the batch that passes it.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) parameters: &'a Parameters,
    pub(super) ids: &'a LayerIds,
    pub(super) batch: &'a Batch<'a>,
    pub(super) adapters: &'a RefCell<AdapterScratch>,
}

impl Layer<'_> {
    pub(super) fn n_tokens(&self) -> usize {
        self.batch.tokens.len()
    }

    fn norm(
        &self,
        weight: super::ParameterId,
        x: &[f32],
        out: &mut Vec<f32>,
    ) -> Result<(), ModelError> {
        out.resize(x.len(), 0.0);
        let eps = self.parameters.config().rms_norm_eps;
        Ok(rms_norm::forward(x, self.parameters.values(weight), eps, out)?)
    }

    /// From the stream that enters, in `kept.input`, to the feed-forward numbers before their gate.
    ///
    /// `stream` is overwritten with the stream after the attention.
    pub(super) fn forward_kept(
        &self,
        kept: &mut LayerActivations,
        stream: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        let Self { parameters, ids, batch, .. } = *self;
        let config = parameters.config();
        let normed = &mut scratch.normed;
        self.norm(ids.input_norm, &kept.input, normed)?;
        self.project(ids.q, normed, &mut kept.q)?;
        self.project(ids.k, normed, &mut kept.k)?;
        self.project(ids.v, normed, &mut kept.v)?;
        let (positions, table) = (batch.positions, &parameters.rope);
        rope::forward_in_place(&mut kept.q, positions, config.n_heads, table)?;
        rope::forward_in_place(&mut kept.k, positions, config.n_kv_heads, table)?;
        kept.attended.resize(kept.q.len(), 0.0);
        kept.log_sum_exp.resize(self.n_tokens() * config.n_heads, 0.0);
        attention::forward(
            &config.attention_shape(),
            batch.runs,
            &kept.q,
            &kept.k,
            &kept.v,
            &mut kept.attended,
            &mut kept.log_sum_exp,
        )?;
        stream.clone_from(&kept.input);
        self.project_onto(ids.o, &kept.attended, stream)?;
        kept.middle.clone_from(stream);
        self.norm(ids.post_attention_norm, &kept.middle, normed)?;
        self.project(ids.gate, normed, &mut kept.gate)?;
        self.project(ids.up, normed, &mut kept.up)
    }

    /// Adds what the feed-forward network gives to the stream after the attention.
    pub(super) fn forward_rest(
        &self,
        kept: &LayerActivations,
        stream: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        scratch.inner.resize(kept.gate.len(), 0.0);
        swiglu::forward(&kept.gate, &kept.up, &mut scratch.inner)?;
        self.project_onto(self.ids.down, &scratch.inner, stream)
    }

    /// From the gradient of the stream that leaves to that of the stream that enters, in place.
    ///
    /// `kept` is used up.
    pub(super) fn backward(
        &self,
        kept: &mut LayerActivations,
        grad_stream: &mut [f32],
        gradients: &mut Gradients,
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        let Self { parameters, ids, batch, .. } = *self;
        let config = parameters.config();
        let eps = config.rms_norm_eps;
        let Scratch { normed, inner, grad_normed, grad_attended, grad_q, grad_k, grad_v } = scratch;

        self.norm(ids.post_attention_norm, &kept.middle, normed)?;
        self.backward_input(ids.down, grad_stream, inner, Update::Write)?;
        swiglu::backward_in_place(&mut kept.gate, &mut kept.up, inner)?;
        self.backward_weight(ids.down, grad_stream, inner, gradients)?;
        self.backward_input(ids.gate, &kept.gate, grad_normed, Update::Write)?;
        self.backward_input(ids.up, &kept.up, grad_normed, Update::Add)?;
        self.backward_weight(ids.gate, &kept.gate, normed, gradients)?;
        self.backward_weight(ids.up, &kept.up, normed, gradients)?;
        let weight = parameters.values(ids.post_attention_norm);
        let grad_weight = gradients.add_to(ids.post_attention_norm);
        rms_norm::backward(&kept.middle, weight, eps, grad_normed, grad_stream, grad_weight)?;

        self.norm(ids.input_norm, &kept.input, normed)?;
        self.backward_input(ids.o, grad_stream, grad_attended, Update::Write)?;
        self.backward_weight(ids.o, grad_stream, &kept.attended, gradients)?;
        grad_q.resize(kept.q.len(), 0.0);
        grad_k.resize(kept.k.len(), 0.0);
        grad_v.resize(kept.v.len(), 0.0);
        attention::backward(
            &config.attention_shape(),
            batch.runs,
            &kept.q,
            &kept.k,
            &kept.v,
            &kept.attended,
            &kept.log_sum_exp,
            grad_attended,
            grad_q,
            grad_k,
            grad_v,
        )?;
        let (positions, table) = (batch.positions, &parameters.rope);
        rope::backward_in_place(grad_q, positions, config.n_heads, table)?;
        rope::backward_in_place(grad_k, positions, config.n_kv_heads, table)?;
        self.backward_input(ids.q, grad_q, grad_normed, Update::Write)?;
        self.backward_input(ids.k, grad_k, grad_normed, Update::Add)?;
        self.backward_input(ids.v, grad_v, grad_normed, Update::Add)?;
        self.backward_weight(ids.q, grad_q, normed, gradients)?;
        self.backward_weight(ids.k, grad_k, normed, gradients)?;
        self.backward_weight(ids.v, grad_v, normed, gradients)?;
        let grad_weight = gradients.add_to(ids.input_norm);
        let weight = parameters.values(ids.input_norm);
        Ok(rms_norm::backward(&kept.input, weight, eps, grad_normed, grad_stream, grad_weight)?)
    }
}
