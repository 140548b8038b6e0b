use super::{kernel, operand, tensor_like, with_values};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use critic_kernels::rope::{self as kernels, RopeTable};
use std::sync::Arc;

struct Rope {
    positions: Arc<[u32]>,
    n_heads: usize,
    table: Arc<RopeTable>,
}

/// Rotary position embedding in the half-split layout of Hugging Face (Su et al. 2021).
///
/// # Shapes
/// - `x`: `[n_tokens, n_heads · head_dim]`
/// - `positions`: `[n_tokens]`, each below the table's length
/// - returns the shape of `x`
///
/// # Errors
/// When the shapes do not fit or a position is beyond the table.
pub fn rope(
    x: &Tensor,
    positions: &Arc<[u32]>,
    n_heads: usize,
    table: &Arc<RopeTable>,
) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Rope { positions: positions.clone(), n_heads, table: table.clone() })
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = operand(storage, layout)?.to_vec();
        kernels::forward_in_place(&mut out, &self.positions, self.n_heads, &self.table)
            .map_err(kernel)?;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut grad_x = with_values(grad, |grad| Ok(grad.to_vec()))?;
        kernels::backward_in_place(&mut grad_x, &self.positions, self.n_heads, &self.table)
            .map_err(kernel)?;
        Ok(Some(tensor_like(grad_x, x)?))
    }
}
