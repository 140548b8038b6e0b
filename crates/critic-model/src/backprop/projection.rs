use super::dropout::Mask;
use super::gradients::Gradients;
use super::layer::Layer;
use super::parameters::{AdapterIds, ProjectionIds};
use super::room::Room;
use crate::decoder::add_bias;
use crate::error::ModelError;
use critic_kernels::Precision;
use critic_kernels::linear::{self, Backward, Update};

/// Buffers of an adapter at work.
#[derive(Debug, Default)]
pub(super) struct AdapterScratch {
    /// What dropout leaves of x, or the gradient of it, `[n_tokens, n_in]`.
    dropped: Vec<f32>,
    /// scale · dropout(x)·Aᵀ and its gradient, `[n_tokens, rank]`.
    inner: Vec<f32>,
    grad_inner: Vec<f32>,
}

/// The gradient of what a projection took, to be worked out from that of what it gave.
pub(super) struct InputGradient<'a> {
    pub(super) projection: ProjectionIds,
    pub(super) grad_y: &'a [f32],
    pub(super) grad_x: &'a mut Vec<f32>,
    pub(super) update: Update,
}

/// The gradient of a projection's weight, to be worked out from what it took and the gradient of what it
/// gave.
#[derive(Clone, Copy)]
pub(super) struct WeightGradient<'a> {
    pub(super) projection: ProjectionIds,
    pub(super) grad_y: &'a [f32],
    pub(super) x: &'a [f32],
}

impl Layer<'_> {
    fn linear(&self, projection: ProjectionIds) -> ([usize; 3], linear::Weight<'_>) {
        (self.sizes(projection), self.parameters.matrix(projection.weight))
    }

    fn sizes(&self, projection: ProjectionIds) -> [usize; 3] {
        let shape = self.parameters.shape(projection.weight);
        [self.n_tokens(), shape[1], shape[0]]
    }

    pub(super) fn project(
        &self,
        projection: ProjectionIds,
        x: &[f32],
        out: &mut Vec<f32>,
    ) -> Result<(), ModelError> {
        let sizes @ [n, _, n_out] = self.sizes(projection);
        out.fit(n * n_out);
        let weight = self.parameters.matrix(projection.weight);
        linear::forward(sizes, x, weight, out, Update::Write)?;
        if let Some(bias) = projection.bias {
            add_bias(&self.parameters.values(bias), out);
        }
        self.add_adapter(projection, x, out)
    }

    /// As [`project`](Self::project), added to `stream`.
    pub(super) fn project_onto(
        &self,
        projection: ProjectionIds,
        x: &[f32],
        stream: &mut [f32],
    ) -> Result<(), ModelError> {
        let weight = self.parameters.matrix(projection.weight);
        linear::forward(self.sizes(projection), x, weight, stream, Update::Add)?;
        if let Some(bias) = projection.bias {
            add_bias(&self.parameters.values(bias), stream);
        }
        self.add_adapter(projection, x, stream)
    }

    /// The gradient of what a projection took, and those of the weights of others (or of its own) whose
    /// gradients are known by then, worked out side by side.
    pub(super) fn backward_projections<const N: usize>(
        &self,
        input: InputGradient<'_>,
        weights: [WeightGradient<'_>; N],
        gradients: &mut Gradients,
    ) -> Result<(), ModelError> {
        let InputGradient { projection, grad_y, grad_x, update } = input;
        let (sizes @ [n, n_in, _], weight) = self.linear(projection);
        grad_x.fit(n * n_in);
        let of_input = Backward::Input { sizes, grad_y, weight, grad_x, update };
        let sums = gradients.add_to_each(weights.map(|weight| weight.projection.weight));
        let of_weights = weights.iter().zip(sums).filter_map(|(gradient, sum)| {
            let &WeightGradient { projection, grad_y, x } = gradient;
            let (sizes, weight) = self.linear(projection);
            let (precision, grad_weight) = (weight.precision(), sum?);
            Some(Backward::Weight { precision, sizes, grad_y, x, grad_weight })
        });
        linear::backward([of_input].into_iter().chain(of_weights))?;
        self.backward_adapter_input(projection, grad_y, grad_x)?;
        weights.iter().try_for_each(|gradient| self.backward_rest(gradient, gradients))
    }

    fn backward_adapter_input(
        &self,
        projection: ProjectionIds,
        grad_y: &[f32],
        grad_x: &mut [f32],
    ) -> Result<(), ModelError> {
        let Some(adapter) = projection.adapter else { return Ok(()) };
        let sizes @ [n, n_in, _] = self.sizes(projection);
        let scratch = &mut *self.adapters.borrow_mut();
        self.grad_inner(adapter, sizes, grad_y, scratch)?;
        let a = self.parameters.matrix(adapter.a);
        let sizes = [n, n_in, self.rank(adapter)];
        let Some(mask) = self.mask(adapter) else {
            return Ok(linear::backward_input(sizes, &scratch.grad_inner, a, grad_x, Update::Add)?);
        };
        scratch.dropped.fit(grad_x.len());
        let grad_dropped = &mut scratch.dropped;
        linear::backward_input(sizes, &scratch.grad_inner, a, grad_dropped, Update::Write)?;
        mask.add(grad_dropped, grad_x);
        Ok(())
    }

    /// The gradients of a projection's bias and of its adapter.
    fn backward_rest(
        &self,
        &WeightGradient { projection, grad_y, x }: &WeightGradient<'_>,
        gradients: &mut Gradients,
    ) -> Result<(), ModelError> {
        if let Some(bias) = projection.bias.filter(|&bias| gradients.has_room(bias)) {
            let sum = gradients.add_to(bias);
            for row in grad_y.chunks_exact(sum.len()) {
                sum.iter_mut().zip(row).for_each(|(sum, grad)| *sum += grad);
            }
        }
        let Some(adapter) = projection.adapter else { return Ok(()) };
        let sizes @ [n, n_in, n_out] = self.sizes(projection);
        let scratch = &mut *self.adapters.borrow_mut();
        self.inner(adapter, sizes, x, scratch)?;
        self.grad_inner(adapter, sizes, grad_y, scratch)?;
        let AdapterScratch { dropped, inner, grad_inner } = scratch;
        let x = if self.mask(adapter).is_some() { dropped } else { x };
        let rank = self.rank(adapter);
        let sum = gradients.add_to(adapter.b);
        linear::backward_weight(Precision::F32, [n, rank, n_out], grad_y, inner, sum)?;
        let sum = gradients.add_to(adapter.a);
        Ok(linear::backward_weight(Precision::F32, [n, n_in, rank], grad_inner, x, sum)?)
    }

    /// `y += scale · (dropout(x)·Aᵀ)·Bᵀ`.
    fn add_adapter(
        &self,
        projection: ProjectionIds,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), ModelError> {
        let Some(adapter) = projection.adapter else { return Ok(()) };
        let sizes @ [n, _, n_out] = self.sizes(projection);
        let scratch = &mut *self.adapters.borrow_mut();
        self.inner(adapter, sizes, x, scratch)?;
        let b = self.parameters.matrix(adapter.b);
        let sizes = [n, self.rank(adapter), n_out];
        Ok(linear::forward(sizes, &scratch.inner, b, y, Update::Add)?)
    }

    fn rank(&self, adapter: AdapterIds) -> usize {
        self.parameters.shape(adapter.a)[0]
    }

    fn mask(&self, adapter: AdapterIds) -> Option<Mask> {
        let dropout = self.parameters.adapter_dropout();
        let key = self.batch.dropout_key.filter(|_| dropout > 0.0)?;
        Some(Mask::new(key, adapter.number, dropout))
    }

    /// `inner = scale · dropout(x)·Aᵀ`, and `dropped = dropout(x)` where there is any.
    fn inner(
        &self,
        adapter: AdapterIds,
        [n, n_in, _]: [usize; 3],
        x: &[f32],
        scratch: &mut AdapterScratch,
    ) -> Result<(), ModelError> {
        let AdapterScratch { dropped, inner, .. } = scratch;
        let x = match self.mask(adapter) {
            Some(mask) => {
                dropped.fit(x.len());
                mask.write(x, dropped);
                dropped
            }
            None => x,
        };
        let rank = self.rank(adapter);
        inner.fit(n * rank);
        let a = self.parameters.matrix(adapter.a);
        linear::forward([n, n_in, rank], x, a, inner, Update::Write)?;
        scale(inner, self.parameters.adapter_scale());
        Ok(())
    }

    /// `grad_inner = scale · grad_y·B`.
    fn grad_inner(
        &self,
        adapter: AdapterIds,
        [n, _, n_out]: [usize; 3],
        grad_y: &[f32],
        scratch: &mut AdapterScratch,
    ) -> Result<(), ModelError> {
        let rank = self.rank(adapter);
        let grad_inner = &mut scratch.grad_inner;
        grad_inner.fit(n * rank);
        let b = self.parameters.matrix(adapter.b);
        linear::backward_input([n, rank, n_out], grad_y, b, grad_inner, Update::Write)?;
        scale(grad_inner, self.parameters.adapter_scale());
        Ok(())
    }
}

fn scale(x: &mut [f32], factor: f32) {
    x.iter_mut().for_each(|x| *x *= factor);
}
