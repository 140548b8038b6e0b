//! The three products of a linear layer `y = x · weightᵀ`: forward, and both of backward.
//!
//! For training: the fastest product at hand. Where a row's bits may not depend on the other rows, see
//! [`crate::matmul::nt_row_invariant`].

mod backward;
mod outputs;

pub use backward::{Backward, backward, backward_input, backward_weight};

use crate::Precision;
use crate::bf16::{self, Left, PackedWeight};
use crate::error::{KernelError, area, check_length};
use crate::matmul::{Out, product};
use crate::quantized;

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

    /// Checks its shape `[n_out, n_in]`.
    fn check(&self, expected @ [n_out, n_in]: [usize; 2]) -> Result<(), KernelError> {
        let operand = "weight";
        let found = match self {
            Weight::F32(weight) => {
                return check_length(operand, weight.len(), area(n_out, n_in));
            }
            Weight::Bf16(weight) => [weight.n_out(), weight.n_in()],
            Weight::Quantized(weight) => [weight.n_out(), weight.n_in()],
        };
        if found == expected {
            return Ok(());
        }
        Err(KernelError::WrongShape { operand, found, expected })
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
    weight.check([n, k])?;
    match weight {
        Weight::F32(weight) => {
            let y = Out { numbers: y, stride: n };
            product([m, k, n], x, [k, 1], weight, [1, k], y, update == Update::Add);
        }
        Weight::Quantized(weight) => outputs::forward(sizes, x, weight, y, update)?,
        Weight::Bf16(weight) => {
            let (isa, left, right) = (weight.isa(), Left::Rows(x), weight.forward());
            bf16::products([bf16::Product { isa, sizes, left, right, out: y, update }]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
