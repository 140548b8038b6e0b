//! The gated activation `silu(gate) · up` (Shazeer 2020, arXiv 2002.05202).

use crate::error::{KernelError, check_length};

/// `out = silu(gate) · up`, element by element.
///
/// # Errors
/// Where the lengths differ.
pub fn forward(gate: &[f32], up: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    check_length("up", up.len(), gate.len())?;
    check_length("out", out.len(), gate.len())?;
    for ((o, g), u) in out.iter_mut().zip(gate).zip(up) {
        *o = g / (1.0 + (-g).exp()) * u;
    }
    Ok(())
}

/// Gradients of [`forward`]; both are overwritten.
///
/// # Errors
/// Where the lengths differ.
pub fn backward(
    gate: &[f32],
    up: &[f32],
    grad_out: &[f32],
    grad_gate: &mut [f32],
    grad_up: &mut [f32],
) -> Result<(), KernelError> {
    check_length("up", up.len(), gate.len())?;
    check_length("grad_out", grad_out.len(), gate.len())?;
    check_length("grad_gate", grad_gate.len(), gate.len())?;
    check_length("grad_up", grad_up.len(), gate.len())?;
    for i in 0..gate.len() {
        let sigmoid = 1.0 / (1.0 + (-gate[i]).exp());
        grad_up[i] = grad_out[i] * gate[i] * sigmoid;
        grad_gate[i] = grad_out[i] * up[i] * sigmoid * (1.0 + gate[i] * (1.0 - sigmoid));
    }
    Ok(())
}
