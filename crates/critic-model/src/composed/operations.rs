use crate::error::ModelError;
use candle_core::{D, Device, Result, Tensor};
use critic_kernels::KernelError;

/// `x · weightᵀ + bias`, by row.
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// `x / sqrt(mean(x²) + ε) · weight`, by row (Zhang and Sennrich 2019).
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let root = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(eps))?.sqrt()?;
    x.broadcast_div(&root)?.broadcast_mul(weight)
}

/// Softmax over the last dimension; −∞ counts as absent, and no row may hold nothing else.
pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    // The maximum cancels: its gradient is zero whatever it is.
    let max = x.max_keepdim(D::Minus1)?.detach();
    let exp = x.broadcast_sub(&max)?.exp()?;
    exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)
}

/// `ln Σ exp` over the last dimension.
pub(super) fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    let max = x.max_keepdim(D::Minus1)?.detach();
    let sum = x.broadcast_sub(&max)?.exp()?.sum_keepdim(D::Minus1)?;
    (sum.log()? + max)?.squeeze(D::Minus1)
}

/// The angles of the rotary position embedding at the positions of a batch (Su et al. 2021), Hugging
/// Face's "rotate half".
#[derive(Debug)]
pub(super) struct Rotation {
    /// `[n_tokens, 1, head_dim / 2]`, as `sin`.
    cos: Tensor,
    sin: Tensor,
}

impl Rotation {
    /// The angle is the `f32` product of position and inverse frequency, as in
    /// [`critic_kernels::rope::RopeTable`].
    pub(super) fn new(
        inverse_frequencies: &[f32],
        context_length: usize,
        positions: &[u32],
        device: &Device,
    ) -> std::result::Result<Self, ModelError> {
        let beyond = |position: u32| position as usize >= context_length;
        if let Some(index) = positions.iter().position(|&position| beyond(position)) {
            let (found, limit) = (positions[index] as usize, context_length);
            return Err(
                KernelError::OutOfRange { operand: "positions", index, found, limit }.into()
            );
        }
        let shape = (positions.len(), 1, inverse_frequencies.len());
        let (sin, cos): (Vec<f32>, Vec<f32>) = positions
            .iter()
            .flat_map(|&position| inverse_frequencies.iter().map(move |f| position as f32 * f))
            .map(|angle| f64::from(angle).sin_cos())
            .map(|(sin, cos)| (sin as f32, cos as f32))
            .unzip();
        Ok(Self {
            cos: Tensor::from_vec(cos, shape, device)?,
            sin: Tensor::from_vec(sin, shape, device)?,
        })
    }

    /// Rotates every head of `x`, `[n_tokens, n_heads · head_dim]`.
    pub(super) fn apply(&self, x: &Tensor, n_heads: usize) -> Result<Tensor> {
        let (n, half) = (x.dim(0)?, self.cos.dim(2)?);
        let heads = x.reshape((n, n_heads, 2 * half))?;
        let (a, b) = (heads.narrow(2, 0, half)?, heads.narrow(2, half, half)?);
        let turned = |a: &Tensor, b: &Tensor| {
            Ok::<_, candle_core::Error>((a.broadcast_mul(&self.cos)?, b.broadcast_mul(&self.sin)?))
        };
        let ((a_cos, b_sin), (b_cos, a_sin)) = (turned(&a, &b)?, turned(&b, &a)?);
        Tensor::cat(&[(a_cos - b_sin)?, (b_cos + a_sin)?], 2)?.reshape(x.shape())
    }
}
