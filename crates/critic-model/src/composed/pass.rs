use super::decoder::hidden;
use super::gradients::Gradients;
use super::operations::{head_features, linear, log_sum_exp, softcap};
use super::parameters::Parameters;
use crate::backprop::Batch;
use crate::error::ModelError;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use critic_kernels::cross_entropy::Target;
use std::ops::Range;

/// Rows whose logits stand in memory at once.
const ROWS_OF_A_CHUNK: u32 = 256;

/// One forward and one backward pass over a forest.
///
/// The losses read the hidden states from a variable of their own and are differentiated down to it one by
/// one; [`backward`](Self::backward) takes the sum down through the layers. So the logits live for one chunk
/// of rows, and the decoder's graph is walked once.
#[derive(Debug)]
pub struct Pass<'a> {
    parameters: &'a Parameters,
    /// Hidden states at the rows that are read, with the graph that made them, `[n_read, d_model]`.
    hidden: Tensor,
    /// The same numbers without a graph.
    read: Var,
    grad_read: Option<Tensor>,
    rows_of_a_chunk: u32,
}

impl<'a> Pass<'a> {
    /// Runs the decoder, as [`backprop::Pass::forward`](crate::backprop::Pass::forward).
    ///
    /// # Errors
    /// When a token is not in the vocabulary, a position is beyond the context, a row that is read is not
    /// there, or the runs do not partition the rows.
    pub fn forward(parameters: &'a Parameters, batch: &Batch<'_>) -> Result<Self, ModelError> {
        let hidden = hidden(parameters, batch)?;
        let read = Var::from_tensor(&hidden.detach())?;
        let rows_of_a_chunk = ROWS_OF_A_CHUNK;
        Ok(Self { parameters, hidden, read, grad_read: None, rows_of_a_chunk })
    }

    #[cfg(test)]
    pub(super) fn in_chunks_of(self, rows_of_a_chunk: u32) -> Self {
        Self { rows_of_a_chunk, ..self }
    }

    /// −ln P of each target; the gradients of `weight` times their sum are kept.
    ///
    /// # Shapes
    /// - `targets`: sorted by row, which counts the rows that are read
    /// - returns one number for each
    ///
    /// # Errors
    /// [`ModelError::UnknownToken`] and [`ModelError::NoSuchRow`].
    pub fn cross_entropy(
        &mut self,
        targets: &[Target],
        weight: f64,
        gradients: &mut Gradients,
    ) -> Result<Vec<f32>, ModelError> {
        let (n_rows, vocab_size) = (self.read.dim(0)?, self.parameters.config().vocab_size);
        for &Target { row, token } in targets {
            if token as usize >= vocab_size {
                return Err(ModelError::UnknownToken { token, vocab_size });
            }
            if row as usize >= n_rows {
                return Err(ModelError::NoSuchRow { row: row as usize, n_rows });
            }
        }
        let mut nats = Vec::with_capacity(targets.len());
        let chunk_of = |target: &Target| target.row / self.rows_of_a_chunk;
        let chunks: Vec<_> = targets.chunk_by(|a, b| chunk_of(a) == chunk_of(b)).collect();
        for chunk in chunks {
            let (first, last) = (chunk[0].row, chunk[chunk.len() - 1].row);
            let states = self.read.narrow(0, first as usize, (last - first) as usize + 1)?;
            let logits = linear(&states, self.parameters.lm_head(), None)?;
            let logits = softcap(&logits, self.parameters.config().variant.final_softcap)?;
            let indices = |index: &dyn Fn(&Target) -> u32| {
                let indices: Vec<u32> = chunk.iter().map(index).collect();
                Tensor::from_vec(indices, chunk.len(), self.parameters.device())
            };
            let rows = indices(&|target| target.row - first)?;
            let cells = indices(&|target| (target.row - first) * vocab_size as u32 + target.token)?;
            let total = log_sum_exp(&logits)?.index_select(&rows, 0)?;
            let nll = (total - logits.flatten_all()?.index_select(&cells, 0)?)?;
            nats.extend(nll.to_vec1::<f32>()?);
            if weight != 0.0 {
                let found = (nll.sum_all()? * weight)?.backward()?;
                self.keep(found, gradients)?;
            }
        }
        Ok(nats)
    }

    /// Rewards of some of the rows that are read.
    ///
    /// # Errors
    /// When there are no such rows.
    pub fn rewards(&self, rows: Range<usize>) -> Result<Vec<f32>, ModelError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.rewards_of(rows)?.to_vec1()?)
    }

    /// Keeps the gradients of Σ slope · reward.
    ///
    /// # Shapes
    /// `slopes`: one for each of `rows`
    ///
    /// # Errors
    /// When there are no such rows, or not so many.
    pub fn backward_rewards(
        &mut self,
        rows: Range<usize>,
        slopes: &[f64],
        gradients: &mut Gradients,
    ) -> Result<(), ModelError> {
        let slopes: Vec<f32> = slopes.iter().map(|&slope| slope as f32).collect();
        let slopes = Tensor::from_slice(&slopes, slopes.len(), self.parameters.device())?;
        let found = (self.rewards_of(rows)? * slopes)?.sum_all()?.backward()?;
        self.keep(found, gradients)
    }

    /// Adds the gradients of the layers and of the embedding: of everything that was kept.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the device has no room.
    pub fn backward(self, gradients: &mut Gradients) -> Result<(), ModelError> {
        let Some(grad_read) = self.grad_read else { return Ok(()) };
        let found = (self.hidden * grad_read)?.sum_all()?.backward()?;
        Ok(gradients.add(self.parameters, found)?)
    }

    fn rewards_of(&self, rows: Range<usize>) -> Result<Tensor, ModelError> {
        let states = self.read.narrow(0, rows.start, rows.len())?;
        let frame = self.parameters.head_frame;
        let features = match &frame.layout().hidden {
            None => states,
            Some(names) => {
                let [weight, bias] =
                    [names.weight, names.bias].map(|name| self.parameters.get(name));
                head_features(names.activation, &linear(&states, weight, Some(bias))?)?
            }
        };
        let rewards =
            linear(&features, self.parameters.get(frame.layout().out), None)?.squeeze(1)?;
        match frame.shift() {
            Some(shift) => Ok((rewards + f64::from(shift))?),
            None => Ok(rewards),
        }
    }

    fn keep(&mut self, mut found: GradStore, gradients: &mut Gradients) -> Result<(), ModelError> {
        if let Some(gradient) = found.remove(&self.read) {
            self.grad_read = Some(match self.grad_read.take() {
                Some(sum) => (sum + gradient.detach())?,
                None => gradient.detach(),
            });
        }
        Ok(gradients.add(self.parameters, found)?)
    }
}
