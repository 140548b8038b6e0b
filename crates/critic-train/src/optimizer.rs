use crate::{TrainConfig, TrainError};
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, Var};
use critic_kernels::adamw::{self, AdamW};
use critic_model::{REWARD_HEAD, with_values};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// AdamW with f32 moments (Loshchilov and Hutter 2019), one pass over each parameter.
///
/// Matrices decay, norms and biases do not; the reward head has its own peak rate.
/// A parameter that gets no gradient in a step is left as it is, moments included.
#[derive(Debug)]
pub struct Optimizer {
    pub(crate) moments: BTreeMap<String, Moments>,
}

/// AdamW's state of one parameter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    /// Updates so far.
    pub(crate) n_updates: u64,
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

struct Update {
    config: AdamW,
    grad_scale: f32,
    moments: Mutex<Moments>,
}

impl InplaceOp2 for Update {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weight: &mut CpuStorage,
        layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(weight), Some((start, end)), Some((grad_start, grad_end))) =
            (weight, layout.contiguous_offsets(), grad_layout.contiguous_offsets())
        else {
            return Err(candle_core::Error::Msg(
                "AdamW needs contiguous f32 weights and gradients".to_owned(),
            )
            .bt());
        };
        let grad = &grad.as_slice::<f32>()?[grad_start..grad_end];
        let mut moments = self.moments.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Moments { n_updates, first, second } = &mut *moments;
        *n_updates += 1;
        adamw::step(
            &self.config,
            *n_updates,
            self.grad_scale,
            &mut weight[start..end],
            grad,
            first,
            second,
        )
        .map_err(candle_core::Error::wrap)
    }
}

impl Optimizer {
    /// Zero moments for every parameter.
    pub fn new(parameters: &BTreeMap<String, Var>) -> Self {
        let moments = |var: &Var| Moments {
            n_updates: 0,
            first: vec![0.0; var.elem_count()],
            second: vec![0.0; var.elem_count()],
        };
        Self {
            moments: parameters.iter().map(|(name, var)| (name.clone(), moments(var))).collect(),
        }
    }

    /// Updates every parameter that has a gradient; returns the norm of all gradients before clipping.
    ///
    /// `rate_share` is the share of the peak learning rates at this step.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] when the norm is not finite; no parameter has changed then.
    pub fn step(
        &mut self,
        parameters: &BTreeMap<String, Var>,
        gradients: &BTreeMap<String, Tensor>,
        config: &TrainConfig,
        rate_share: f64,
        step: usize,
    ) -> std::result::Result<f64, TrainError> {
        let mut squares = 0.0;
        for (name, gradient) in gradients {
            let sum = with_values(gradient, |values| Ok(adamw::sum_of_squares(values)))?;
            if !sum.is_finite() {
                return Err(TrainError::NonFinite {
                    what: format!("the gradient of `{name}`"),
                    value: sum,
                    step,
                });
            }
            squares += sum;
        }
        let norm = squares.sqrt();
        let grad_scale =
            if norm > config.max_grad_norm { config.max_grad_norm / norm } else { 1.0 };
        for (name, var) in parameters {
            let Some(gradient) = gradients.get(name) else { continue };
            let Some(moments) = self.moments.get_mut(name) else { continue };
            let peak = if name == REWARD_HEAD {
                config.reward_head_learning_rate
            } else {
                config.learning_rate.peak
            };
            let update = Update {
                config: AdamW {
                    learning_rate: (peak * rate_share) as f32,
                    beta1: config.beta1 as f32,
                    beta2: config.beta2 as f32,
                    epsilon: config.epsilon as f32,
                    weight_decay: if var.rank() >= 2 { config.weight_decay as f32 } else { 0.0 },
                },
                grad_scale: grad_scale as f32,
                moments: Mutex::new(std::mem::take(moments)),
            };
            let result = var.inplace_op2(&gradient.contiguous()?, &update);
            *moments =
                update.moments.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            result?;
        }
        Ok(norm)
    }
}
