//! Products with bfloat16 operands and `f32` sums.
//!
//! Blocked after Goto & van de Geijn 2008 (doi 10.1145/1356052.1356053): the right operand lies
//! in panels as wide as a register tile, the left operand is rounded and packed a block at a time
//! into the second-level cache. Two neighbours along the summed dimension share a word (the
//! former in its low half), as the processor's dot product of pairs reads them.
//!
//! Where the processor has no such instruction, pairs are widened to `f32` in registers. The
//! instruction takes operands below 2⁻¹²⁶ for zero and flushes sums below it to zero (Intel SDM,
//! `VDPBF16PS`); the widened path does neither.

mod block;
mod halves;
mod left;
mod panels;
mod product;
#[cfg(test)]
mod tests;

pub use halves::{round, widen};
pub(crate) use left::Left;
pub(crate) use panels::Source;
pub(crate) use product::{Product, products, with_panels};

use crate::error::{KernelError, area, check_length};
use crate::isa::{self, Isa};
use crate::simd::dispatch_on;

/// A linear layer's weight, rounded to bfloat16 and laid out for its two products.
///
/// Takes four bytes a number, two for each product.
#[derive(Debug, Clone)]
pub struct PackedWeight {
    isa: Isa,
    n_out: usize,
    n_in: usize,
    forward: Vec<u32>,
    backward: Vec<u32>,
}

impl PackedWeight {
    /// Room for a weight `[n_out, n_in]`; zeros until [`Self::pack`].
    pub fn new(n_out: usize, n_in: usize) -> Self {
        Self::with_isa(isa::active(), n_out, n_in)
    }

    fn with_isa(isa: Isa, n_out: usize, n_in: usize) -> Self {
        let width = dispatch_on(isa, panels::Width);
        let forward = vec![0; panels::n_words(n_in, n_out, width)];
        let backward = vec![0; panels::n_words(n_out, n_in, width)];
        Self { isa, n_out, n_in, forward, backward }
    }

    /// Rounds `weight` to bfloat16, to nearest with ties to even; NaN stays NaN.
    ///
    /// # Shapes
    /// `weight`: `[n_out, n_in]`, row-major.
    ///
    /// # Errors
    /// Where the length does not fit.
    pub fn pack(&mut self, weight: &[f32]) -> Result<(), KernelError> {
        let Self { isa, n_out, n_in, .. } = *self;
        check_length("weight", weight.len(), area(n_out, n_in))?;
        panels::pack(isa, [n_in, n_out], Source::Columns(weight), &mut self.forward);
        panels::pack(isa, [n_out, n_in], Source::Rows(weight), &mut self.backward);
        Ok(())
    }

    /// Rows of the weight.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// Columns of the weight.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// Panels of the transposed weight, `[n_in, n_out]`.
    pub(crate) fn forward(&self) -> &[u32] {
        &self.forward
    }

    /// Panels of the weight, `[n_out, n_in]`.
    pub(crate) fn backward(&self) -> &[u32] {
        &self.backward
    }
}
