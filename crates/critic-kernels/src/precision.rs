//! What the operands of a training step's products are rounded to.

use crate::isa::{self, Isa};
use serde::{Deserialize, Serialize};

/// The operands' precision; sums are `f32` in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// `f32` operands, through the `gemm` crate.
    F32,
    /// Operands rounded to bfloat16 as they are packed, through this crate's own products.
    Bf16,
}

impl Precision {
    /// [`Precision::Bf16`] where the active instruction set multiplies bfloat16, else
    /// [`Precision::F32`].
    ///
    /// Elsewhere bfloat16 products give the same numbers to within rounding, but are no faster
    /// than those of `f32`.
    pub fn auto() -> Self {
        if isa::active() >= Isa::Avx512Bf16 { Self::Bf16 } else { Self::F32 }
    }
}
