use super::gradients::Gradients;
use super::kept::{Activations, Kept};
use super::layer::{Layer, Scratch};
use super::parameters::Parameters;
use super::projection::AdapterScratch;
use super::room::Room;
use crate::decoder::embed;
use crate::error::ModelError;
use critic_kernels::attention::QueryRun;
use critic_kernels::rms_norm;
use std::cell::RefCell;

/// A forest as the decoder sees it: a flat list of tokens, and which see each other.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Token of each row.
    pub tokens: &'a [u32],
    /// Position of each row in its sequence.
    pub positions: &'a [u32],
    /// Which rows see each other; they partition the rows.
    pub runs: &'a [QueryRun],
    /// Rows whose hidden states are read; a row may stand here more than once.
    pub read: &'a [usize],
    /// What the adapters' dropout is drawn from; absent where nothing is dropped.
    pub dropout_key: Option<u64>,
}

/// One forward and one backward pass; its memory is used again by the next.
#[derive(Debug)]
pub struct Pass {
    kept: Kept,
    scratch: Scratch,
    adapters: RefCell<AdapterScratch>,
    /// The residual stream on the way up, its gradient on the way down, `[n_tokens, d_model]`.
    stream: Vec<f32>,
    grad_stream: Vec<f32>,
    /// The stream at the rows that are read, before and after the final norm, `[n_read, d_model]`.
    read: Vec<f32>,
    hidden: Vec<f32>,
    grad_read: Vec<f32>,
}

impl Pass {
    /// A pass over models of so many layers.
    pub fn new(activations: Activations, n_layers: usize) -> Self {
        let [stream, grad_stream, read, hidden, grad_read] = [const { Vec::new() }; 5];
        let kept = Kept::new(activations, n_layers);
        let (scratch, adapters) = Default::default();
        Self { kept, scratch, adapters, stream, grad_stream, read, hidden, grad_read }
    }

    /// Runs the decoder; returns the hidden states at the rows that are read, after the final norm.
    ///
    /// # Shapes
    /// returns `[n_read, d_model]`
    ///
    /// # Errors
    /// When a token is not in the vocabulary, a position is beyond the context, a row that is read is not
    /// there, or the runs do not partition the rows.
    pub fn forward(
        &mut self,
        parameters: &Parameters,
        batch: &Batch<'_>,
    ) -> Result<&[f32], ModelError> {
        let (config, n) = (parameters.config(), batch.tokens.len());
        let d = config.d_model;
        self.stream.fit(n * d);
        let embedding = parameters.weight(parameters.embedding);
        embed(embedding, config, batch.tokens, &mut self.stream)?;
        for (layer_idx, ids) in parameters.layers.iter().enumerate() {
            let layer = Layer { parameters, ids, layer_idx, batch, adapters: &self.adapters };
            let kept = self.kept.at_work(layer_idx);
            kept.input.clone_from(&self.stream);
            layer.forward_kept(kept, &mut self.stream, &mut self.scratch)?;
            layer.forward_rest(kept, &mut self.stream, &mut self.scratch)?;
            self.kept.keep(layer_idx)?;
        }
        self.read.clear();
        for &row in batch.read {
            let found = self.stream.chunks_exact(d).nth(row);
            self.read.extend_from_slice(found.ok_or(ModelError::NoSuchRow { row, n_rows: n })?);
        }
        self.hidden.fit(self.read.len());
        let norm = parameters.norm(parameters.norm);
        rms_norm::forward(&self.read, &norm, config.rms_norm_eps, &mut self.hidden)?;
        Ok(&self.hidden)
    }

    /// Adds the gradients of the decoder's parameters to `gradients`, after [`forward`](Self::forward) on
    /// the same parameters and batch; once for each forward pass.
    ///
    /// # Shapes
    /// `grad_hidden`: `[n_read, d_model]`, the gradient of what `forward` gave
    ///
    /// # Errors
    /// When `grad_hidden` does not fit the batch.
    pub fn backward(
        &mut self,
        parameters: &Parameters,
        batch: &Batch<'_>,
        grad_hidden: &[f32],
        gradients: &mut Gradients,
    ) -> Result<(), ModelError> {
        let config = parameters.config();
        let d = config.d_model;
        self.grad_read.clear();
        self.grad_read.fit(self.read.len());
        rms_norm::backward(
            &self.read,
            &parameters.norm(parameters.norm),
            config.rms_norm_eps,
            grad_hidden,
            &mut self.grad_read,
            gradients.add_to(parameters.norm),
        )?;
        self.grad_stream.clear();
        self.grad_stream.fit(self.stream.len());
        for (&row, grad) in batch.read.iter().zip(self.grad_read.chunks_exact(d)) {
            add(&mut self.grad_stream[row * d..][..d], grad);
        }
        for (layer_idx, ids) in parameters.layers.iter().enumerate().rev() {
            let layer = Layer { parameters, ids, layer_idx, batch, adapters: &self.adapters };
            let (kept, again) = self.kept.recall(layer_idx)?;
            if again {
                self.stream.clone_from(&kept.input);
                layer.forward_kept(kept, &mut self.stream, &mut self.scratch)?;
                if ids.feed_forward_post_norm.is_some() {
                    layer.forward_rest(kept, &mut self.stream, &mut self.scratch)?;
                }
            }
            layer.backward(kept, &mut self.grad_stream, gradients, &mut self.scratch)?;
        }
        if !gradients.has_room(parameters.embedding) {
            return Ok(());
        }
        let embedding = gradients.add_to(parameters.embedding);
        let scale = config.embedding_scale();
        for (&token, grad) in batch.tokens.iter().zip(self.grad_stream.chunks_exact(d)) {
            let row = &mut embedding[token as usize * d..][..d];
            row.iter_mut().zip(grad).for_each(|(to, grad)| *to += scale * grad);
        }
        Ok(())
    }
}

fn add(to: &mut [f32], x: &[f32]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += x);
}
