//! The three products of a linear layer `y = x · weightᵀ`: forward, and both of backward.
//!
//! For training: the fastest product at hand. Where a row's bits may not depend on the other rows, see
//! [`crate::matmul::nt_row_invariant`].

use crate::Precision;
use crate::bf16::{self, Left, PackedWeight, Source};
use crate::error::{KernelError, area, check_length};
use crate::isa;
use crate::matmul::product;

/// The weight of a linear layer, `[n_out, n_in]`, in the form that its products read.
#[derive(Debug, Clone, Copy)]
pub enum Weight<'a> {
    /// Row-major.
    F32(&'a [f32]),
    /// Rounded and packed; its products round the other operand to bfloat16 too.
    Bf16(&'a PackedWeight),
}

impl Weight<'_> {
    /// The precision of its products.
    pub fn precision(&self) -> Precision {
        match self {
            Weight::F32(_) => Precision::F32,
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
            product([m, k, n], x, [k, 1], weight, [1, k], y, update == Update::Add);
        }
        Weight::Bf16(weight) => {
            check_packed(weight, n, k)?;
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
            product([m, n, k], grad_y, [n, 1], weight, [k, 1], grad_x, update == Update::Add);
        }
        Weight::Bf16(weight) => {
            check_packed(weight, n, k)?;
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
        Precision::F32 => product([n, m, k], grad_y, [1, n], x, [k, 1], grad_weight, true),
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

fn check_packed(weight: &PackedWeight, n_out: usize, n_in: usize) -> Result<(), KernelError> {
    if (weight.n_out(), weight.n_in()) == (n_out, n_in) {
        return Ok(());
    }
    Err(KernelError::WrongShape {
        operand: "weight",
        found: [weight.n_out(), weight.n_in()],
        expected: [n_out, n_in],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matmul;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn the_three_products_write_and_add() {
        let sizes @ [m, k, n] = [7, 13, 5];
        let (x, weight, grad) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * n, 3));
        let twice = |values: &[f32]| values.iter().map(|&v| 2.0 * f64::from(v)).collect::<Vec<_>>();

        let mut y = vec![f32::NAN; m * n];
        forward(sizes, &x, Weight::F32(&weight), &mut y, Update::Write).unwrap();
        let mut expected = vec![0.0; m * n];
        matmul::nt(m, k, n, &x, &weight, &mut expected).unwrap();
        forward(sizes, &x, Weight::F32(&weight), &mut y, Update::Add).unwrap();
        assert_close(&y, &twice(&expected), 1e-5);

        let mut grad_x = vec![f32::NAN; m * k];
        backward_input(sizes, &grad, Weight::F32(&weight), &mut grad_x, Update::Write).unwrap();
        let mut expected = vec![0.0; m * k];
        matmul::nn(m, n, k, &grad, &weight, &mut expected).unwrap();
        backward_input(sizes, &grad, Weight::F32(&weight), &mut grad_x, Update::Add).unwrap();
        assert_close(&grad_x, &twice(&expected), 1e-5);

        let mut grad_weight = vec![0.0; n * k];
        backward_weight(Precision::F32, sizes, &grad, &x, &mut grad_weight).unwrap();
        backward_weight(Precision::F32, sizes, &grad, &x, &mut grad_weight).unwrap();
        let mut expected = vec![0.0; n * k];
        matmul::tn(n, m, k, &grad, &x, &mut expected).unwrap();
        assert_close(&grad_weight, &twice(&expected), 1e-5);
    }

    #[test]
    fn wrong_lengths_are_errors_that_name_the_operand() {
        let error =
            forward([2, 3, 4], &[0.0; 6], Weight::F32(&[0.0; 11]), &mut [0.0; 8], Update::Write);
        assert_eq!(
            error.unwrap_err(),
            KernelError::WrongLength { operand: "weight", found: 11, expected: 12 }
        );
        let f32 = Precision::F32;
        assert!(backward_weight(f32, [2, 3, 4], &[0.0; 8], &[0.0; 6], &mut [0.0; 11]).is_err());
        let packed = PackedWeight::new(4, 2);
        let error =
            forward([2, 3, 4], &[0.0; 6], Weight::Bf16(&packed), &mut [0.0; 8], Update::Write);
        let (found, expected) = ([4, 2], [4, 3]);
        assert_eq!(
            error.unwrap_err(),
            KernelError::WrongShape { operand: "weight", found, expected }
        );
    }
}
