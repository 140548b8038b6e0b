//! The two products of the backward pass, several of them side by side.

use super::outputs::{self, Rows};
use super::{Update, Weight};
use crate::Precision;
use crate::bf16::{self, Left, Source};
use crate::error::{KernelError, area, check_length};
use crate::isa;
use crate::matmul::{self, Out};

/// A product of the backward pass of a linear layer `y = x · weightᵀ`.
///
/// # Shapes
/// `x`: `[n_tokens, n_in]`, `weight`: `[n_out, n_in]`, `y`: `[n_tokens, n_out]`, with
/// `sizes` = `[n_tokens, n_in, n_out]`; each gradient has its operand's shape.
#[derive(Debug)]
pub enum Backward<'a> {
    /// `grad_x = grad_y · weight`.
    Input {
        /// Of the layer.
        sizes: [usize; 3],
        /// The gradient of what the layer gave.
        grad_y: &'a [f32],
        /// Of the layer.
        weight: Weight<'a>,
        /// Where the gradient of what the layer took goes.
        grad_x: &'a mut [f32],
        /// What becomes of what stands there.
        update: Update,
    },
    /// `grad_weight += grad_yᵀ · x`.
    Weight {
        /// Of the operands.
        precision: Precision,
        /// Of the layer.
        sizes: [usize; 3],
        /// The gradient of what the layer gave.
        grad_y: &'a [f32],
        /// What the layer took.
        x: &'a [f32],
        /// What the gradient of the weight is added to.
        grad_weight: &'a mut [f32],
    },
}

impl Backward<'_> {
    fn check(&self) -> Result<(), KernelError> {
        match self {
            Backward::Input { sizes: [m, k, n], grad_y, weight, grad_x, .. } => {
                check_length("grad_y", grad_y.len(), area(*m, *n))?;
                check_length("grad_x", grad_x.len(), area(*m, *k))?;
                weight.check([*n, *k])
            }
            Backward::Weight { sizes: [m, k, n], grad_y, x, grad_weight, .. } => {
                check_length("grad_y", grad_y.len(), area(*m, *n))?;
                check_length("x", x.len(), area(*m, *k))?;
                check_length("grad_weight", grad_weight.len(), area(*n, *k))
            }
        }
    }
}

/// Works out products that do not read one another's results, each with the bits that it has by itself:
/// those in bfloat16 side by side, and an `x` that several share is rounded once.
///
/// # Errors
/// Where a product's lengths do not fit.
pub fn backward<'a>(products: impl IntoIterator<Item = Backward<'a>>) -> Result<(), KernelError> {
    let (mut side_by_side, mut weights) = (Vec::new(), Vec::new());
    let mut operands: Vec<([usize; 2], &[f32])> = Vec::new();
    for product in products {
        product.check()?;
        match product {
            Backward::Input { sizes, grad_y, weight, grad_x, update } => match weight {
                Weight::F32(weight) => {
                    outputs::backward_input(sizes, grad_y, Rows::F32(weight), grad_x, update)?;
                }
                Weight::Quantized(weight) => {
                    let rows = Rows::Quantized(weight);
                    outputs::backward_input(sizes, grad_y, rows, grad_x, update)?;
                }
                Weight::Bf16(weight) => {
                    let [m, k, n] = sizes;
                    side_by_side.push(bf16::Product {
                        isa: weight.isa(),
                        sizes: [m, n, k],
                        left: Left::Rows(grad_y),
                        right: weight.backward(),
                        out: grad_x,
                        update,
                    });
                }
            },
            Backward::Weight { precision: Precision::F32, sizes, grad_y, x, grad_weight } => {
                let [m, k, n] = sizes;
                let sum = Out { numbers: grad_weight, stride: k };
                matmul::product([n, m, k], grad_y, [1, n], x, [k, 1], sum, true);
            }
            Backward::Weight { precision: Precision::Bf16, sizes, grad_y, x, grad_weight } => {
                let [m, k, _] = sizes;
                let is_same = |(sizes, other): &([usize; 2], &[f32])| {
                    *sizes == [m, k] && std::ptr::eq(*other, x)
                };
                let operand = operands.iter().position(is_same).unwrap_or(operands.len());
                if operand == operands.len() {
                    operands.push(([m, k], x));
                }
                weights.push((operand, sizes, grad_y, grad_weight));
            }
        }
    }
    let isa = isa::active();
    let sources: Vec<_> = operands.iter().map(|(sizes, x)| (*sizes, Source::Rows(x))).collect();
    bf16::with_panels(isa, &sources, |panels| {
        let of_weights = weights.into_iter().map(|(operand, [m, k, n], grad_y, out)| {
            let (sizes, left, right) = ([n, m, k], Left::Columns(grad_y), panels[operand]);
            bf16::Product { isa, sizes, left, right, out, update: Update::Add }
        });
        bf16::products(side_by_side.into_iter().chain(of_weights));
    });
    Ok(())
}

/// [`Backward::Input`] by itself.
///
/// # Errors
/// As [`backward`].
pub fn backward_input(
    sizes: [usize; 3],
    grad_y: &[f32],
    weight: Weight<'_>,
    grad_x: &mut [f32],
    update: Update,
) -> Result<(), KernelError> {
    backward([Backward::Input { sizes, grad_y, weight, grad_x, update }])
}

/// [`Backward::Weight`] by itself.
///
/// # Errors
/// As [`backward`].
pub fn backward_weight(
    precision: Precision,
    sizes: [usize; 3],
    grad_y: &[f32],
    x: &[f32],
    grad_weight: &mut [f32],
) -> Result<(), KernelError> {
    backward([Backward::Weight { precision, sizes, grad_y, x, grad_weight }])
}
