use crate::error::ModelError;
use crate::reward_head::is_reward_head;
use crate::weight::Weight;
use critic_kernels::quantized::{self, Activations, Format, Precision};
use critic_kernels::{KernelError, matmul};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a [`Decoder`](crate::Decoder) holds its matrices.
///
/// One choice for a whole run: the numbers of a token depend on it, and on nothing else about a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightFormat {
    /// As they were loaded, blocks of a file multiplied out.
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
    /// As the model's file has them: the blocks of a GGUF file (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K,
    /// F16, BF16) and the halves of a safetensors file without a second rounding and without f32 in between,
    /// the embedding among them; activations are rounded to 8 bits where they meet blocks of 4 to 8 bits.
    /// Weights of other kinds in f32.
    ///
    /// The default: of the formats that round no weight of SmolLM2-135M's Q4_1 file, `critic-rm bench generate`
    /// finds it the fastest for one answer at a time (where the memory's speed decides) as for 64 (where
    /// arithmetic does).
    #[default]
    Source,
}

impl WeightFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::F32, Self::Bf16, Self::Q8_0, Self::Q4_1, Self::Source];

    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4_1 => "q4_1",
            Self::Source => "source",
        }
    }

    /// What a matrix is rounded to.
    fn rounded(self) -> Option<Format> {
        match self {
            Self::F32 | Self::Source => None,
            Self::Bf16 => Some(Format::Bf16),
            Self::Q8_0 => Some(Format::Q8_0),
            Self::Q4_1 => Some(Format::Q4_1),
        }
    }

    /// A weight of a file as a decoder of this format holds it, so that its f32 numbers need not stay; what
    /// cannot be rounded stays as it is, for the decoder to refuse.
    pub(crate) fn hold(self, name: &str, weight: Weight) -> Weight {
        let (Some(format), &[n_out, n_in]) = (self.rounded(), weight.shape()) else {
            return weight;
        };
        let is_of_products = !name.ends_with(EMBEDDING) && !is_reward_head(name);
        if !is_of_products || weight.blocks().is_some_and(|blocks| blocks.format() == format) {
            return weight;
        }
        let rounded = quantized::Weight::from_f32(format, n_out, n_in, &weight.values());
        rounded.map_or(weight, Weight::from_blocks)
    }
}

/// How the names of embeddings end, whose rows are looked up.
const EMBEDDING: &str = "embed_tokens.weight";

/// The weight of a linear layer in the form that its products read.
#[derive(Debug, Clone)]
pub(crate) enum Matrix {
    F32(Weight),
    Quantized(Arc<quantized::Weight>),
}

/// Memory for the left side of products, rounded once for all matrices that it meets.
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
        Ok(match (format.rounded(), weight.blocks()) {
            (None, Some(blocks)) if format == WeightFormat::Source => {
                Self::Quantized(Arc::clone(blocks))
            }
            (None, _) => Self::F32(weight.to_f32()),
            (Some(format), Some(blocks)) if blocks.format() == format => {
                Self::Quantized(Arc::clone(blocks))
            }
            (Some(format), _) => Self::Quantized(Arc::new(quantized::Weight::from_f32(
                format,
                n_out,
                n_in,
                &weight.values(),
            )?)),
        })
    }

    /// The kind of its numbers, under the names of GGUF.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::Quantized(weight) => weight.format().name(),
        }
    }

    /// Copies row `i` in f32; whether there is one. `out` is as long as a row.
    pub(crate) fn row(&self, i: usize, out: &mut [f32]) -> bool {
        match self {
            Self::F32(weight) => weight.row(i, out),
            Self::Quantized(weight) => weight.dequantize(i..i + 1, out).is_ok(),
        }
    }

    /// Numbers that a product gives for a row.
    fn n_out(&self) -> usize {
        match self {
            Self::F32(weight) => weight.shape()[0],
            Self::Quantized(weight) => weight.n_out(),
        }
    }

    /// `x · weightᵀ` for the `n` rows of `x` and each of some matrices; a row's bits do not depend on
    /// the other rows, nor on the other matrices.
    pub(crate) fn products<const N: usize>(
        matrices: [&Self; N],
        n: usize,
        x: &[f32],
        input: &mut Input,
        out: [&mut Vec<f32>; N],
    ) -> Result<(), KernelError> {
        let mut parts = Vec::with_capacity(N);
        for (matrix, out) in matrices.into_iter().zip(out) {
            out.resize(n * matrix.n_out(), 0.0);
            match matrix {
                Self::Quantized(weight) => parts.push((&**weight, &mut out[..])),
                Self::F32(weight) => {
                    let (n_out, n_in) = (weight.shape()[0], weight.shape()[1]);
                    matmul::nt_row_invariant(n, n_in, n_out, x, &weight.values(), out)?;
                }
            }
        }
        // Matrices of one file may be held in several formats.
        parts.sort_by_key(|(weight, _)| weight.format().precision() == Precision::F32);
        for parts in
            parts.chunk_by_mut(|(a, _), (b, _)| a.format().precision() == b.format().precision())
        {
            let weight = parts[0].0;
            input.activations.load(weight.format().precision(), weight.n_in(), x)?;
            quantized::products(parts, &input.activations)?;
        }
        Ok(())
    }
}
