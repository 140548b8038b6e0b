//! The gated activation `activation(gate) · up` (Shazeer 2020, arXiv 2002.05202).

use rayon::prelude::*;

use crate::error::{KernelError, check_length};
use crate::simd::{Kernel, Simd, dispatch, exp};

/// What a gate goes through; both are `x · sigmoid(argument(x))`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x / (1 + e⁻ˣ)`, as in Llama.
    #[default]
    Silu,
    /// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, PyTorch's `gelu(approximate="tanh")`, as in Gemma.
    GeluTanh,
}

/// `2 √(2/π)`: `½ (1 + tanh u)` is the sigmoid of `2u`.
const GELU_SCALE: f32 = 1.595_769;
/// The share of the cube in GELU's argument.
const GELU_CUBE: f32 = 0.044_715;
/// Beyond it GELU is its operand or nothing, to the last bit; its cube would overflow some day.
const GELU_FAR: f32 = 100.0;

/// Numbers of a piece of work.
const CHUNK: usize = 1 << 13;

/// `out = activation(gate) · up`, number by number.
///
/// # Errors
/// Where the lengths differ.
pub fn forward(
    activation: Activation,
    gate: &[f32],
    up: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    check_length("up", up.len(), gate.len())?;
    check_length("out", out.len(), gate.len())?;
    out.par_chunks_mut(CHUNK).zip(gate.par_chunks(CHUNK)).zip(up.par_chunks(CHUNK)).for_each(
        |((out, gate), up)| match activation {
            Activation::Silu => dispatch(Forward { gate, up, out, shape: Silu }),
            Activation::GeluTanh => dispatch(Forward { gate, up, out, shape: GeluTanh }),
        },
    );
    Ok(())
}

/// Gradients of [`forward`], each in the place of an operand.
///
/// On return `gate` holds the gradient of the gate, `up` that of `up`, and `grad_inner`, which
/// comes with the gradient of the result, holds the result itself: the operand of the projection
/// that follows, whose weight's gradient needs it.
///
/// # Errors
/// Where the lengths differ.
pub fn backward_in_place(
    activation: Activation,
    gate: &mut [f32],
    up: &mut [f32],
    grad_inner: &mut [f32],
) -> Result<(), KernelError> {
    check_length("up", up.len(), gate.len())?;
    check_length("grad_inner", grad_inner.len(), gate.len())?;
    gate.par_chunks_mut(CHUNK)
        .zip(up.par_chunks_mut(CHUNK))
        .zip(grad_inner.par_chunks_mut(CHUNK))
        .for_each(|((gate, up), grad_inner)| match activation {
            Activation::Silu => dispatch(Backward { gate, up, grad_inner, shape: Silu }),
            Activation::GeluTanh => dispatch(Backward { gate, up, grad_inner, shape: GeluTanh }),
        });
    Ok(())
}

#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: f32) -> f32 {
    1.0 / (1.0 + exp(simd, -x))
}

/// The argument of the sigmoid in an activation.
trait Shape: Copy {
    fn argument(self, x: f32) -> f32;

    /// `x` times the derivative of [`argument`](Self::argument).
    fn slope_times(self, x: f32) -> f32;
}

#[derive(Clone, Copy)]
struct Silu;

impl Shape for Silu {
    #[inline(always)]
    fn argument(self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn slope_times(self, x: f32) -> f32 {
        x
    }
}

#[derive(Clone, Copy)]
struct GeluTanh;

impl GeluTanh {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let below = if x > GELU_FAR { GELU_FAR } else { x };
        if below < -GELU_FAR { -GELU_FAR } else { below }
    }
}

impl Shape for GeluTanh {
    #[inline(always)]
    fn argument(self, x: f32) -> f32 {
        let x = Self::near(x);
        GELU_SCALE * x * (1.0 + GELU_CUBE * x * x)
    }

    #[inline(always)]
    fn slope_times(self, x: f32) -> f32 {
        let x = Self::near(x);
        GELU_SCALE * x * (1.0 + 3.0 * GELU_CUBE * x * x)
    }
}

struct Forward<'a, A> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
    shape: A,
}

impl<A: Shape> Kernel for Forward<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for ((out, gate), up) in self.out.iter_mut().zip(self.gate).zip(self.up) {
            *out = gate * sigmoid(simd, self.shape.argument(*gate)) * up;
        }
    }
}

struct Backward<'a, A> {
    gate: &'a mut [f32],
    up: &'a mut [f32],
    grad_inner: &'a mut [f32],
    shape: A,
}

impl<A: Shape> Kernel for Backward<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (n, shape) = (self.gate.len(), self.shape);
        let (gates, ups, inner) = (self.gate, &mut self.up[..n], &mut self.grad_inner[..n]);
        for i in 0..n {
            let (gate, up, grad) = (gates[i], ups[i], inner[i]);
            let sigmoid = sigmoid(simd, shape.argument(gate));
            let active = gate * sigmoid;
            gates[i] = grad * up * sigmoid * (1.0 + shape.slope_times(gate) * (1.0 - sigmoid));
            ups[i] = grad * active;
            inner[i] = active * up;
        }
    }
}

#[cfg(test)]
mod tests;
