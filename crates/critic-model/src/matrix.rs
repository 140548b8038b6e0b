use crate::error::ModelError;
use crate::weight::Weight;
use critic_kernels::quantized::{self, Activations, Format};
use critic_kernels::{KernelError, matmul};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a [`Decoder`](crate::Decoder) holds its matrices.
///
/// One choice for a whole run: the numbers of a token depend on it, and on nothing else about a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightFormat {
    /// As they were loaded.
    #[default]
    F32,
    /// Rounded to bf16; half the memory, activations in f32.
    Bf16,
    /// Blocks of 32 numbers of 8 bits, as GGUF's Q8_0; activations are rounded to 8 bits too.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// Blocks of 32 numbers of 4 bits, as GGUF's Q4_1; activations are rounded to 8 bits too. Exact where the
    /// weights come from a Q4_1 file.
    #[serde(rename = "q4_1")]
    Q4_1,
}

impl WeightFormat {
    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4_1 => "q4_1",
        }
    }

    fn quantized(self) -> Option<Format> {
        match self {
            Self::F32 => None,
            Self::Bf16 => Some(Format::Bf16),
            Self::Q8_0 => Some(Format::Q8_0),
            Self::Q4_1 => Some(Format::Q4_1),
        }
    }
}

/// The weight of a linear layer in the form that its products read.
#[derive(Debug, Clone)]
pub(crate) enum Matrix {
    F32(Weight),
    Quantized(Arc<quantized::Weight>),
}

/// The left side of products, rounded once for all matrices that it meets.
#[derive(Debug, Default)]
pub(crate) struct Input {
    activations: Activations,
}

impl Matrix {
    /// `weight`, `[n_out, n_in]`, in this format.
    pub(crate) fn new(weight: &Weight, format: WeightFormat) -> Result<Self, ModelError> {
        let &[n_out, n_in] = weight.shape() else {
            unreachable!("the shape of a matrix is checked when the decoder is made")
        };
        Ok(match format.quantized() {
            None => Self::F32(weight.clone()),
            Some(format) => Self::Quantized(Arc::new(quantized::Weight::from_f32(
                format,
                n_out,
                n_in,
                weight.values(),
            )?)),
        })
    }

    /// Prepares `x`, `[n, n_in]`, for the products of matrices of this format.
    pub(crate) fn load(&self, x: &[f32], input: &mut Input) -> Result<(), KernelError> {
        match self {
            Self::F32(_) => Ok(()),
            Self::Quantized(weight) => {
                input.activations.load(weight.format().precision(), weight.n_in(), x)
            }
        }
    }

    /// `x · weightᵀ` for the `n` rows of `x` that `input` was loaded with; a row's bits do not depend on the
    /// other rows.
    pub(crate) fn product(
        &self,
        n: usize,
        x: &[f32],
        input: &Input,
        out: &mut Vec<f32>,
    ) -> Result<(), KernelError> {
        match self {
            Self::F32(weight) => {
                let &[n_out, n_in] = weight.shape() else {
                    unreachable!("the shape of a matrix is checked when the decoder is made")
                };
                out.resize(n * n_out, 0.0);
                matmul::nt_row_invariant(n, n_in, n_out, x, weight.values(), out)
            }
            Self::Quantized(weight) => {
                out.resize(n * weight.n_out(), 0.0);
                quantized::product(weight, &input.activations, out)
            }
        }
    }
}
