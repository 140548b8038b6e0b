//! The three products of a linear layer `y = x · weightᵀ`: forward, and both of backward.
//!
//! For training: the fastest product at hand. Where a row's bits may not depend on the other rows, see
//! [`crate::matmul::nt_row_invariant`].

mod outputs;

use crate::Precision;
use crate::bf16::{self, Left, PackedWeight, Source};
use crate::error::{KernelError, area, check_length};
use crate::isa;
use crate::matmul::{Out, product};
use crate::quantized;
use outputs::Rows;

/// The weight of a linear layer, `[n_out, n_in]`, in the form that its products read.
#[derive(Debug, Clone, Copy)]
pub enum Weight<'a> {
    /// Row-major.
    F32(&'a [f32]),
    /// Rounded and packed; its products round the other operand to bfloat16 too.
    Bf16(&'a PackedWeight),
    /// In few bits, multiplied out as they are needed; its products are those of the numbers in `f32`, to
    /// the bit.
    Quantized(&'a quantized::Weight),
}

impl Weight<'_> {
    /// The precision of its products.
    pub fn precision(&self) -> Precision {
        match self {
            Weight::F32(_) | Weight::Quantized(_) => Precision::F32,
            Weight::Bf16(_) => Precision::Bf16,
        }
    }
}

/// What a product does with the numbers that stand in its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Replaces them.
    Write,
    /// Adds to them.
    Add,
}

/// `y = x · weightᵀ`.
///
/// # Shapes
/// `x`: `[n_tokens, n_in]`, `weight`: `[n_out, n_in]`, `y`: `[n_tokens, n_out]`, with
/// `sizes` = `[n_tokens, n_in, n_out]`.
///
/// # Errors
/// Where the lengths do not fit.
pub fn forward(
    sizes: [usize; 3],
    x: &[f32],
    weight: Weight<'_>,
    y: &mut [f32],
    update: Update,
) -> Result<(), KernelError> {
    let [m, k, n] = sizes;
    check_length("x", x.len(), area(m, k))?;
    check_length("y", y.len(), area(m, n))?;
    match weight {
        Weight::F32(weight) => {
            check_length("weight", weight.len(), area(n, k))?;
            let y = Out { numbers: y, stride: n };
            product([m, k, n], x, [k, 1], weight, [1, k], y, update == Update::Add);
        }
        Weight::Quantized(weight) => {
            check_shape([weight.n_out(), weight.n_in()], [n, k])?;
            outputs::forward(sizes, x, weight, y, update)?;
        }
        Weight::Bf16(weight) => {
            check_shape([weight.n_out(), weight.n_in()], [n, k])?;
            bf16::product(weight.isa(), [m, k, n], Left::Rows(x), weight.forward(), y, update);
        }
    }
    Ok(())
}

/// `grad_x = grad_y · weight`.
///
/// # Shapes
/// As [`forward`]; each gradient has its operand's shape.
///
/// # Errors
/// Where the lengths do not fit.
pub fn backward_input(
    sizes: [usize; 3],
    grad_y: &[f32],
    weight: Weight<'_>,
    grad_x: &mut [f32],
    update: Update,
) -> Result<(), KernelError> {
    let [m, k, n] = sizes;
    check_length("grad_y", grad_y.len(), area(m, n))?;
    check_length("grad_x", grad_x.len(), area(m, k))?;
    match weight {
        Weight::F32(weight) => {
            check_length("weight", weight.len(), area(n, k))?;
            outputs::backward_input(sizes, grad_y, Rows::F32(weight), grad_x, update)?;
        }
        Weight::Quantized(weight) => {
            check_shape([weight.n_out(), weight.n_in()], [n, k])?;
            outputs::backward_input(sizes, grad_y, Rows::Quantized(weight), grad_x, update)?;
        }
        Weight::Bf16(weight) => {
            check_shape([weight.n_out(), weight.n_in()], [n, k])?;
            let (isa, right) = (weight.isa(), weight.backward());
            bf16::product(isa, [m, n, k], Left::Rows(grad_y), right, grad_x, update);
        }
    }
    Ok(())
}

/// `grad_weight += grad_yᵀ · x`.
///
/// # Shapes
/// As [`forward`]; `grad_weight`: `[n_out, n_in]`.
///
/// # Errors
/// Where the lengths do not fit.
pub fn backward_weight(
    precision: Precision,
    sizes: [usize; 3],
    grad_y: &[f32],
    x: &[f32],
    grad_weight: &mut [f32],
) -> Result<(), KernelError> {
    let [m, k, n] = sizes;
    check_length("grad_y", grad_y.len(), area(m, n))?;
    check_length("x", x.len(), area(m, k))?;
    check_length("grad_weight", grad_weight.len(), area(n, k))?;
    match precision {
        Precision::F32 => {
            let sum = Out { numbers: grad_weight, stride: k };
            product([n, m, k], grad_y, [1, n], x, [k, 1], sum, true);
        }
        Precision::Bf16 => {
            let isa = isa::active();
            bf16::with_panels(isa, [m, k], Source::Rows(x), |right| {
                let left = Left::Columns(grad_y);
                bf16::product(isa, [n, m, k], left, right, grad_weight, Update::Add);
            });
        }
    }
    Ok(())
}

fn check_shape(found: [usize; 2], expected: [usize; 2]) -> Result<(), KernelError> {
    if found == expected {
        return Ok(());
    }
    Err(KernelError::WrongShape { operand: "weight", found, expected })
}

#[cfg(test)]
mod tests;
