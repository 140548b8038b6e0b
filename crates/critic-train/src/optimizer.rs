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
            let n = parameters.shape(id).iter().product();
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
            squares += squares_of(parameters.name(id), sum, step)?;
        }
        let norm = squares.sqrt();
        let grad_scale = clip_scale(config, norm);
        let head = parameters.reward_head();
        for (id, moments) in parameters.trained_ids().zip(&mut self.moments) {
            let Some(gradient) = gradients.get(id) else { continue };
            let is_matrix = parameters.shape(id).len() >= 2;
            let update = update_of(config, head.contains(id), is_matrix, rate_share);
            let Moments { n_updates, first, second } = moments;
            *n_updates += 1;
            let weight = parameters.values_mut(id);
            adamw::step(&update, *n_updates, grad_scale, weight, gradient, first, second)?;
        }
        parameters.pack()?;
        Ok(norm)
    }
}

/// A gradient's sum of squares, if it is finite.
pub(crate) fn squares_of(name: &str, sum: f64, step: usize) -> Result<f64, TrainError> {
    if sum.is_finite() {
        return Ok(sum);
    }
    Err(TrainError::NonFinite { what: format!("the gradient of `{name}`"), value: sum, step })
}

/// What gradients of this norm are multiplied by.
pub(crate) fn clip_scale(config: &TrainConfig, norm: f64) -> f32 {
    if norm > config.max_grad_norm { (config.max_grad_norm / norm) as f32 } else { 1.0 }
}

/// How a parameter is updated at a share of the peak rates.
pub(crate) fn update_of(
    config: &TrainConfig,
    is_reward_head: bool,
    is_matrix: bool,
    rate_share: f64,
) -> AdamW {
    let peak =
        if is_reward_head { config.reward_head_learning_rate } else { config.learning_rate.peak };
    AdamW {
        learning_rate: (peak * rate_share) as f32,
        beta1: config.beta1 as f32,
        beta2: config.beta2 as f32,
        epsilon: config.epsilon as f32,
        weight_decay: if is_matrix { config.weight_decay as f32 } else { 0.0 },
    }
}
