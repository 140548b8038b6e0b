use crate::{TrainConfig, TrainError};
use critic_kernels::adamw::{self, AdamW};
use critic_model::backprop::{Gradients, ParameterId, Parameters};

/// AdamW with f32 moments (Loshchilov and Hutter 2019), one pass over each parameter.
///
/// Matrices decay, norms and biases do not; the reward head has its own peak rate.
/// A parameter that gets no gradient in a step is left as it is, moments included.
#[derive(Debug)]
pub struct Optimizer {
    /// One for each parameter that is trained, in their order.
    pub(crate) moments: Vec<Moments>,
}

/// AdamW's state of one parameter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    /// Updates so far.
    pub(crate) n_updates: u64,
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

impl Optimizer {
    /// Zero moments for every parameter that is trained.
    pub fn new(parameters: &Parameters) -> Self {
        let moments = |id: ParameterId| {
            let n = parameters.values(id).len();
            Moments { n_updates: 0, first: vec![0.0; n], second: vec![0.0; n] }
        };
        Self { moments: parameters.trained_ids().map(moments).collect() }
    }

    /// Updates every parameter that has a gradient; returns the norm of all gradients before clipping.
    ///
    /// `rate_share` is the share of the peak learning rates at this step.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] when the norm is not finite; no parameter has changed then.
    pub fn step(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Gradients,
        config: &TrainConfig,
        rate_share: f64,
        step: usize,
    ) -> Result<f64, TrainError> {
        let mut squares = 0.0;
        for id in parameters.trained_ids() {
            let sum = gradients.get(id).map_or(0.0, adamw::sum_of_squares);
            if !sum.is_finite() {
                return Err(TrainError::NonFinite {
                    what: format!("the gradient of `{}`", parameters.name(id)),
                    value: sum,
                    step,
                });
            }
            squares += sum;
        }
        let norm = squares.sqrt();
        let grad_scale =
            if norm > config.max_grad_norm { config.max_grad_norm / norm } else { 1.0 };
        for (id, moments) in parameters.trained_ids().zip(&mut self.moments) {
            let Some(gradient) = gradients.get(id) else { continue };
            let peak = if id == parameters.reward_head() {
                config.reward_head_learning_rate
            } else {
                config.learning_rate.peak
            };
            let is_matrix = parameters.shape(id).len() >= 2;
            let update = AdamW {
                learning_rate: (peak * rate_share) as f32,
                beta1: config.beta1 as f32,
                beta2: config.beta2 as f32,
                epsilon: config.epsilon as f32,
                weight_decay: if is_matrix { config.weight_decay as f32 } else { 0.0 },
            };
            let Moments { n_updates, first, second } = moments;
            *n_updates += 1;
            let weight = parameters.values_mut(id);
            adamw::step(&update, *n_updates, grad_scale as f32, weight, gradient, first, second)?;
        }
        parameters.pack()?;
        Ok(norm)
    }
}
