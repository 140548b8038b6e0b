//! AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101).

use rayon::prelude::*;

use crate::error::{KernelError, check_length};

/// Numbers of a parallel piece of work.
const CHUNK: usize = 1 << 14;

/// The optimizer's settings, in the meaning of `torch.optim.AdamW`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// The step's length.
    pub learning_rate: f32,
    /// How much of the first moment stays, in `[0, 1)`.
    pub beta1: f32,
    /// How much of the second moment stays, in `[0, 1)`.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// The weight shrinks by `learning_rate · weight_decay` a step.
    pub weight_decay: f32,
}

/// One step for one parameter; weight and both moments are updated in place.
///
/// `grad` is multiplied by `grad_scale` first (1 where the gradient was not clipped).
/// `step` counts from 1.
///
/// # Errors
/// Where the lengths differ, or `step` is 0.
pub fn step(
    config: &AdamW,
    step: u64,
    grad_scale: f32,
    weight: &mut [f32],
    grad: &[f32],
    first_moment: &mut [f32],
    second_moment: &mut [f32],
) -> Result<(), KernelError> {
    if step == 0 {
        return Err(KernelError::InvalidSize { operand: "step", found: 0, rule: "at least 1" });
    }
    check_length("grad", grad.len(), weight.len())?;
    check_length("first_moment", first_moment.len(), weight.len())?;
    check_length("second_moment", second_moment.len(), weight.len())?;
    let correction1 = 1.0 - f64::from(config.beta1).powf(step as f64);
    let correction2 = 1.0 - f64::from(config.beta2).powf(step as f64);
    let step_size = (f64::from(config.learning_rate) / correction1) as f32;
    let root_scale = (1.0 / correction2.sqrt()) as f32;
    let decay = (1.0 - f64::from(config.learning_rate) * f64::from(config.weight_decay)) as f32;
    let (new1, new2) = (1.0 - config.beta1, 1.0 - config.beta2);
    weight
        .par_chunks_mut(CHUNK)
        .zip(grad.par_chunks(CHUNK))
        .zip(first_moment.par_chunks_mut(CHUNK))
        .zip(second_moment.par_chunks_mut(CHUNK))
        .for_each(|(((weight, grad), first), second)| {
            for i in 0..weight.len() {
                let g = grad[i] * grad_scale;
                first[i] += (g - first[i]) * new1;
                second[i] = second[i] * config.beta2 + g * g * new2;
                let root = second[i].sqrt() * root_scale + config.epsilon;
                weight[i] = weight[i] * decay - step_size * first[i] / root;
            }
        });
    Ok(())
}

/// The sum of squares in `f64`, in an order that depends on the length alone.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let parts: Vec<f64> = x
        .par_chunks(CHUNK)
        .map(|x| x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum())
        .collect();
    parts.iter().sum()
}
