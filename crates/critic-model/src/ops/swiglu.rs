use super::{kernel, operand, tensor_like, with_values};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use critic_kernels::swiglu as kernels;

struct SwiGlu;

/// `silu(gate) · up`, element by element (Shazeer 2020).
///
/// # Shapes
/// - `gate`, `up`: the same shape, which is returned
///
/// # Errors
/// When the shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.contiguous()?.apply_op2(&up.contiguous()?, SwiGlu)
}

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut out = vec![0.0; l1.shape().elem_count()];
        kernels::forward(operand(s1, l1)?, operand(s2, l2)?, &mut out).map_err(kernel)?;
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let copy = |x: &Tensor| with_values(x, |x| Ok(x.to_vec()));
        let (mut grad_gate, mut grad_up, mut inner) = (copy(gate)?, copy(up)?, copy(grad)?);
        kernels::backward_in_place(&mut grad_gate, &mut grad_up, &mut inner).map_err(kernel)?;
        Ok((Some(tensor_like(grad_gate, gate)?), Some(tensor_like(grad_up, up)?)))
    }
}
