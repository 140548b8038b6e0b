use super::gradients::Gradients;
use super::kept::LayerActivations;
use super::parameters::{LayerIds, Parameters, ProjectionIds};
use super::pass::Batch;
use super::projection::{AdapterScratch, InputGradient, WeightGradient};
use super::room::Room;
use crate::error::ModelError;
use critic_kernels::linear::Update;
use critic_kernels::{attention, gated, rms_norm, rope};
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
    /// What a part of the layer gives to the stream, normed; on the way down room for a gradient.
    normed_out: Vec<f32>,
}

/// A layer with its place among the parameters and the batch that passes it.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) parameters: &'a Parameters,
    pub(super) ids: &'a LayerIds,
    pub(super) layer_idx: usize,
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
        out.fit(x.len());
        let eps = self.parameters.config().rms_norm_eps;
        Ok(rms_norm::forward(x, &self.parameters.norm(weight), eps, out)?)
    }

    /// Gradients of [`norm`](Self::norm), added to what stands there.
    fn backward_norm(
        &self,
        weight: super::ParameterId,
        x: &[f32],
        grad_out: &[f32],
        grad_x: &mut [f32],
        gradients: &mut Gradients,
    ) -> Result<(), ModelError> {
        let (norm, eps) = (self.parameters.norm(weight), self.parameters.config().rms_norm_eps);
        Ok(rms_norm::backward(x, &norm, eps, grad_out, grad_x, gradients.add_to(weight))?)
    }

    /// As [`backward_norm`](Self::backward_norm), in the place of the result's gradient.
    fn backward_norm_in_place(
        &self,
        weight: super::ParameterId,
        x: &[f32],
        grad: &mut Vec<f32>,
        room: &mut Vec<f32>,
        gradients: &mut Gradients,
    ) -> Result<(), ModelError> {
        std::mem::swap(grad, room);
        grad.clear();
        grad.fit(x.len());
        self.backward_norm(weight, x, room, grad, gradients)
    }

    /// The gradient of what a part of the layer gives, of the stream's that it [joins](Self::join).
    fn before_join<'b>(
        &self,
        post_norm: Option<super::ParameterId>,
        x: &[f32],
        grad_stream: &'b [f32],
        room: &'b mut Vec<f32>,
        gradients: &mut Gradients,
    ) -> Result<&'b [f32], ModelError> {
        let Some(norm) = post_norm else { return Ok(grad_stream) };
        room.clear();
        room.fit(x.len());
        self.backward_norm(norm, x, grad_stream, room, gradients)?;
        Ok(room)
    }

    /// As [`project_onto`](Self::project_onto), through a norm where there is one; `out` gets what comes
    /// before it.
    fn join(
        &self,
        projection: ProjectionIds,
        post_norm: Option<super::ParameterId>,
        x: &[f32],
        out: &mut Vec<f32>,
        stream: &mut [f32],
        normed_out: &mut Vec<f32>,
    ) -> Result<(), ModelError> {
        let Some(norm) = post_norm else { return self.project_onto(projection, x, stream) };
        self.project(projection, x, out)?;
        self.norm(norm, out, normed_out)?;
        stream.iter_mut().zip(normed_out).for_each(|(stream, x)| *stream += *x);
        Ok(())
    }

    /// From the stream that enters, in `stream` and `kept.input`, to the feed-forward numbers before their
    /// gate; `stream` is then the one after the attention.
    pub(super) fn forward_kept(
        &self,
        kept: &mut LayerActivations,
        stream: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        let Self { parameters, ids, layer_idx, batch, .. } = *self;
        let config = parameters.config();
        let shape = config.attention_shape(layer_idx);
        let Scratch { normed, normed_out, .. } = scratch;
        self.norm(ids.input_norm, &kept.input, normed)?;
        self.project(ids.q, normed, &mut kept.q)?;
        self.project(ids.k, normed, &mut kept.k)?;
        self.project(ids.v, normed, &mut kept.v)?;
        if let Some([q_norm, k_norm]) = ids.head_norms {
            std::mem::swap(&mut kept.q, &mut kept.q_plain);
            std::mem::swap(&mut kept.k, &mut kept.k_plain);
            self.norm(q_norm, &kept.q_plain, &mut kept.q)?;
            self.norm(k_norm, &kept.k_plain, &mut kept.k)?;
        }
        let (positions, table) = (batch.positions, parameters.rope.at(shape.window));
        rope::forward_in_place(&mut kept.q, positions, config.n_heads, table)?;
        rope::forward_in_place(&mut kept.k, positions, config.n_kv_heads, table)?;
        kept.attended.fit(kept.q.len());
        kept.log_sum_exp.fit(self.n_tokens() * config.n_heads);
        attention::forward(
            &shape,
            batch.runs,
            &kept.q,
            &kept.k,
            &kept.v,
            &mut kept.attended,
            &mut kept.log_sum_exp,
        )?;
        let LayerActivations { attended, attention_out, .. } = kept;
        self.join(ids.o, ids.attention_post_norm, attended, attention_out, stream, normed_out)?;
        kept.middle.fit(stream.len());
        kept.middle.copy_from_slice(stream);
        self.norm(ids.feed_forward_norm, &kept.middle, normed)?;
        self.project(ids.gate, normed, &mut kept.gate)?;
        self.project(ids.up, normed, &mut kept.up)
    }

    /// Adds what the feed-forward network gives to the stream after the attention.
    pub(super) fn forward_rest(
        &self,
        kept: &mut LayerActivations,
        stream: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        let Scratch { inner, normed_out, .. } = scratch;
        inner.fit(kept.gate.len());
        let activation = self.parameters.config().variant.activation;
        gated::forward(activation, &kept.gate, &kept.up, inner)?;
        let (down, norm) = (self.ids.down, self.ids.feed_forward_post_norm);
        self.join(down, norm, inner, &mut kept.feed_forward_out, stream, normed_out)
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
        let Self { parameters, ids, layer_idx, batch, .. } = *self;
        let config = parameters.config();
        let shape = config.attention_shape(layer_idx);
        let Scratch { normed, inner, grad_normed, grad_attended, grad_q, grad_k, grad_v, .. } =
            scratch;
        let room = &mut scratch.normed_out;

        self.norm(ids.feed_forward_norm, &kept.middle, normed)?;
        let (norm, x) = (ids.feed_forward_post_norm, &kept.feed_forward_out);
        let grad_out = self.before_join(norm, x, grad_stream, room, gradients)?;
        let input = of_input(ids.down, grad_out, inner, Update::Write);
        self.backward_projections(input, [], gradients)?;
        gated::backward_in_place(config.variant.activation, &mut kept.gate, &mut kept.up, inner)?;
        let input = of_input(ids.gate, &kept.gate, grad_normed, Update::Write);
        let weights = [
            of_weight(ids.down, grad_out, inner),
            of_weight(ids.gate, &kept.gate, normed),
            of_weight(ids.up, &kept.up, normed),
        ];
        self.backward_projections(input, weights, gradients)?;
        let input = of_input(ids.up, &kept.up, grad_normed, Update::Add);
        self.backward_projections(input, [], gradients)?;
        let norm = ids.feed_forward_norm;
        self.backward_norm(norm, &kept.middle, grad_normed, grad_stream, gradients)?;

        self.norm(ids.input_norm, &kept.input, normed)?;
        let (norm, x) = (ids.attention_post_norm, &kept.attention_out);
        let grad_out = self.before_join(norm, x, grad_stream, room, gradients)?;
        let input = of_input(ids.o, grad_out, grad_attended, Update::Write);
        let weights = [of_weight(ids.o, grad_out, &kept.attended)];
        self.backward_projections(input, weights, gradients)?;
        grad_q.fit(kept.q.len());
        grad_k.fit(kept.k.len());
        grad_v.fit(kept.v.len());
        attention::backward(
            &shape,
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
        let (positions, table) = (batch.positions, parameters.rope.at(shape.window));
        rope::backward_in_place(grad_q, positions, config.n_heads, table)?;
        rope::backward_in_place(grad_k, positions, config.n_kv_heads, table)?;
        if let Some([q_norm, k_norm]) = ids.head_norms {
            self.backward_norm_in_place(q_norm, &kept.q_plain, grad_q, room, gradients)?;
            self.backward_norm_in_place(k_norm, &kept.k_plain, grad_k, room, gradients)?;
        }
        let input = of_input(ids.q, grad_q, grad_normed, Update::Write);
        let weights = [
            of_weight(ids.q, grad_q, normed),
            of_weight(ids.k, grad_k, normed),
            of_weight(ids.v, grad_v, normed),
        ];
        self.backward_projections(input, weights, gradients)?;
        for (projection, grad_y) in [(ids.k, &*grad_k), (ids.v, &*grad_v)] {
            let input = of_input(projection, grad_y, grad_normed, Update::Add);
            self.backward_projections(input, [], gradients)?;
        }
        self.backward_norm(ids.input_norm, &kept.input, grad_normed, grad_stream, gradients)
    }
}

fn of_input<'a>(
    projection: ProjectionIds,
    grad_y: &'a [f32],
    grad_x: &'a mut Vec<f32>,
    update: Update,
) -> InputGradient<'a> {
    InputGradient { projection, grad_y, grad_x, update }
}

fn of_weight<'a>(projection: ProjectionIds, grad_y: &'a [f32], x: &'a [f32]) -> WeightGradient<'a> {
    WeightGradient { projection, grad_y, x }
}
