use super::{kernel, operand, tensor_like, with_values};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use critic_kernels::matmul;

struct Linear;

/// `x · weightᵀ`, the product of every projection; a row's bits do not depend on the other rows.
///
/// # Shapes
/// - `x`: `[n_tokens, n_in]`
/// - `weight`: `[n_out, n_in]`
/// - returns `[n_tokens, n_out]`
///
/// # Errors
/// When the shapes do not fit.
pub fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&weight.contiguous()?, Linear)
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n_tokens, n_in) = l1.shape().dims2()?;
        let (n_out, _) = l2.shape().dims2()?;
        let mut out = vec![0.0; n_tokens * n_out];
        matmul::nt_row_invariant(
            n_tokens,
            n_in,
            n_out,
            operand(s1, l1)?,
            operand(s2, l2)?,
            &mut out,
        )
        .map_err(kernel)?;
        Ok((CpuStorage::F32(out), Shape::from((n_tokens, n_out))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (n_tokens, n_in) = x.dims2()?;
        let (n_out, _) = weight.dims2()?;
        let mut grad_x = vec![0.0; n_tokens * n_in];
        let mut grad_weight = vec![0.0; n_out * n_in];
        with_values(grad, |grad| {
            with_values(weight, |w| {
                matmul::nn(n_tokens, n_out, n_in, grad, w, &mut grad_x).map_err(kernel)
            })?;
            with_values(x, |x| {
                matmul::tn(n_out, n_tokens, n_in, grad, x, &mut grad_weight).map_err(kernel)
            })
        })?;
        Ok((Some(tensor_like(grad_x, x)?), Some(tensor_like(grad_weight, weight)?)))
    }
}
