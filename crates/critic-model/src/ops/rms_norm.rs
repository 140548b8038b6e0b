use super::{kernel, operand, tensor_like, with_values};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use critic_kernels::rms_norm as kernels;

struct RmsNorm {
    epsilon: f32,
}

/// `x / sqrt(mean(x²) + ε) · weight`, by row (Zhang and Sennrich 2019).
///
/// # Shapes
/// - `x`: `[n_tokens, d_model]`
/// - `weight`: `[d_model]`
/// - returns `[n_tokens, d_model]`
///
/// # Errors
/// When the shapes do not fit.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    x.contiguous()?.apply_op2(weight, RmsNorm { epsilon })
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut out = vec![0.0; l1.shape().elem_count()];
        kernels::forward(operand(s1, l1)?, operand(s2, l2)?, self.epsilon, &mut out)
            .map_err(kernel)?;
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut grad_x = vec![0.0; x.elem_count()];
        let mut grad_weight = vec![0.0; weight.elem_count()];
        with_values(x, |x| {
            with_values(weight, |w| {
                with_values(grad, |grad| {
                    kernels::backward(x, w, self.epsilon, grad, &mut grad_x, &mut grad_weight)
                        .map_err(kernel)
                })
            })
        })?;
        Ok((Some(tensor_like(grad_x, x)?), Some(tensor_like(grad_weight, weight)?)))
    }
}
