//! Root mean square layer normalisation (Zhang & Sennrich 2019, arXiv 1910.07467).

use crate::error::{KernelError, check_length, count_rows};

/// `out = x · weight / sqrt(mean(x²) + eps)`, row by row.
///
/// # Shapes
/// `x` and `out`: `[n_rows, width]`, `weight`: `[width]`.
///
/// # Errors
/// Where the lengths do not fit.
pub fn forward(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) -> Result<(), KernelError> {
    let width = weight.len();
    count_rows("x", x.len(), width)?;
    check_length("out", out.len(), x.len())?;
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let inv = inverse_rms(x, eps);
        for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
            *o = x * inv * w;
        }
    }
    Ok(())
}

fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    let squares: f32 = x.iter().map(|x| x * x).sum();
    1.0 / (squares / x.len() as f32 + eps).sqrt()
}

/// Gradients of [`forward`]; both are overwritten.
///
/// # Shapes
/// `x`, `grad_out`, `grad_x`: `[n_rows, width]`, `weight` and `grad_weight`: `[width]`.
///
/// # Errors
/// Where the lengths do not fit.
pub fn backward(
    x: &[f32],
    weight: &[f32],
    eps: f32,
    grad_out: &[f32],
    grad_x: &mut [f32],
    grad_weight: &mut [f32],
) -> Result<(), KernelError> {
    let width = weight.len();
    count_rows("x", x.len(), width)?;
    check_length("grad_out", grad_out.len(), x.len())?;
    check_length("grad_x", grad_x.len(), x.len())?;
    check_length("grad_weight", grad_weight.len(), width)?;
    grad_weight.fill(0.0);
    for ((x, g), gx) in
        x.chunks_exact(width).zip(grad_out.chunks_exact(width)).zip(grad_x.chunks_exact_mut(width))
    {
        let inv = inverse_rms(x, eps);
        let mut dot = 0.0f32;
        for i in 0..width {
            dot += g[i] * weight[i] * x[i];
            grad_weight[i] += g[i] * x[i] * inv;
        }
        let c = dot * inv * inv * inv / width as f32;
        for i in 0..width {
            gx[i] = g[i] * weight[i] * inv - x[i] * c;
        }
    }
    Ok(())
}
