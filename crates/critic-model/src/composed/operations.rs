use crate::error::ModelError;
use crate::reward_head::HeadActivation;
use candle_core::{D, Device, Result, Tensor};
use critic_kernels::KernelError;
use critic_kernels::gated::Activation;
use critic_kernels::rope::RopeTable;

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

/// `cap · tanh(x / cap)`, where there is a cap.
pub(super) fn softcap(x: &Tensor, cap: Option<f32>) -> Result<Tensor> {
    match cap.map(f64::from) {
        Some(cap) => (x * (1.0 / cap))?.tanh()? * cap,
        None => Ok(x.clone()),
    }
}

/// What a gate goes through.
pub(super) fn activate(activation: Activation, gate: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::Silu => gate.silu(),
        Activation::GeluTanh => gate.gelu(),
    }
}

/// What the hidden layer of a reward head goes through.
pub(super) fn head_features(activation: HeadActivation, before: &Tensor) -> Result<Tensor> {
    match activation {
        HeadActivation::Silu => before.silu(),
        HeadActivation::Tanh => before.tanh(),
    }
}

/// The rotary position embedding at the positions of a batch (Su et al. 2021), Hugging Face's "rotate half".
#[derive(Debug)]
pub(super) struct Rotation {
    /// `[n_tokens, 1, rotary_dim / 2]`, as `sin`.
    cos: Tensor,
    sin: Tensor,
}

impl Rotation {
    pub(super) fn new(
        table: &RopeTable,
        positions: &[u32],
        device: &Device,
    ) -> std::result::Result<Self, ModelError> {
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for (index, &position) in positions.iter().enumerate() {
            let (found, limit) = (position as usize, table.n_positions());
            let beyond = KernelError::OutOfRange { operand: "positions", index, found, limit };
            let (c, s) = table.at(found).ok_or(beyond)?;
            cos.extend_from_slice(c);
            sin.extend_from_slice(s);
        }
        let shape = (positions.len(), 1, cos.len() / positions.len().max(1));
        Ok(Self {
            cos: Tensor::from_vec(cos, shape, device)?,
            sin: Tensor::from_vec(sin, shape, device)?,
        })
    }

    /// Rotates every head of `x`, `[n_tokens, n_heads · head_dim]`: the first numbers of it that have an
    /// angle.
    pub(super) fn apply(&self, x: &Tensor, n_heads: usize) -> Result<Tensor> {
        let (n, half) = (x.dim(0)?, self.cos.dim(2)?);
        let head_dim = x.dim(1)? / n_heads;
        let heads = x.reshape((n, n_heads, head_dim))?;
        let (a, b) = (heads.narrow(2, 0, half)?, heads.narrow(2, half, half)?);
        let turned = |a: &Tensor, b: &Tensor| {
            Ok::<_, candle_core::Error>((a.broadcast_mul(&self.cos)?, b.broadcast_mul(&self.sin)?))
        };
        let ((a_cos, b_sin), (b_cos, a_sin)) = (turned(&a, &b)?, turned(&b, &a)?);
        let mut parts = vec![(a_cos - b_sin)?, (b_cos + a_sin)?];
        if head_dim > 2 * half {
            parts.push(heads.narrow(2, 2 * half, head_dim - 2 * half)?);
        }
        Tensor::cat(&parts, 2)?.reshape(x.shape())
    }
}
