use super::gradients::Gradients;
use super::parameters::Parameters;
use crate::error::ModelError;
use crate::weight::Weight;
use candle_core::Tensor;
use critic_kernels::adamw::AdamW;

/// AdamW's state of one parameter, on its device.
#[derive(Debug)]
pub struct Moments {
    n_updates: u64,
    first: Tensor,
    second: Tensor,
}

impl Moments {
    /// Those of a parameter that was never updated.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the device has no room.
    pub fn zeros(parameters: &Parameters, name: &str) -> Result<Self, ModelError> {
        let zeros = parameters.get(name).detach().zeros_like()?;
        Ok(Self { n_updates: 0, first: zeros.clone(), second: zeros })
    }

    /// Those of a parameter after `n_updates` updates.
    ///
    /// # Errors
    /// [`ModelError::WeightShape`] when a moment has another shape than its parameter, and
    /// [`ModelError::Tensor`] when the device has no room.
    pub fn new(
        parameters: &Parameters,
        name: &str,
        n_updates: u64,
        first: &[f32],
        second: &[f32],
    ) -> Result<Self, ModelError> {
        let parameter = parameters.get(name);
        let moment = |values: &[f32]| -> Result<Tensor, ModelError> {
            if values.len() != parameter.elem_count() {
                return Err(ModelError::WeightShape {
                    name: name.to_owned(),
                    found: vec![values.len()],
                    expected: parameter.dims().to_vec(),
                });
            }
            Ok(Tensor::from_slice(values, parameter.shape(), parameters.device())?)
        };
        Ok(Self { n_updates, first: moment(first)?, second: moment(second)? })
    }

    /// Updates so far.
    pub fn n_updates(&self) -> u64 {
        self.n_updates
    }

    /// The first and the second moment.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the device does not give them.
    pub fn weights(&self) -> Result<[Weight; 2], ModelError> {
        Ok([Weight::from_tensor(&self.first)?, Weight::from_tensor(&self.second)?])
    }

    /// One step of AdamW (Loshchilov and Hutter 2019) for one parameter, by the formula of
    /// [`critic_kernels::adamw`]; a parameter without gradient is left as it is.
    ///
    /// The gradient is multiplied by `grad_scale` first.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the device has no room.
    pub fn step(
        &mut self,
        config: &AdamW,
        grad_scale: f32,
        parameters: &Parameters,
        gradients: &Gradients,
        name: &str,
    ) -> Result<(), ModelError> {
        let Some(gradient) = gradients.get(name) else { return Ok(()) };
        let [beta1, beta2, rate, decay, epsilon] =
            [config.beta1, config.beta2, config.learning_rate, config.weight_decay, config.epsilon]
                .map(f64::from);
        self.n_updates += 1;
        let correction = |beta: f64| 1.0 - beta.powf(self.n_updates as f64);
        let weight = parameters.variable(name);
        let gradient = (gradient * f64::from(grad_scale))?;
        self.first = (&self.first + ((&gradient - &self.first)? * (1.0 - beta1))?)?;
        self.second = ((&self.second * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
        let root = self.second.sqrt()?.affine(1.0 / correction(beta2).sqrt(), epsilon)?;
        let shrunk = (weight.as_detached_tensor() * (1.0 - rate * decay))?;
        let step = ((&self.first * (rate / correction(beta1)))? / root)?;
        Ok(weight.set(&(shrunk - step)?)?)
    }
}
