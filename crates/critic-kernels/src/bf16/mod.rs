//! Products with bfloat16 operands and `f32` sums.
//!
//! Blocked after Goto & van de Geijn 2008 (doi 10.1145/1356052.1356053): the right operand lies
//! in panels as wide as a register tile, the left operand is rounded and packed a block at a time
//! into the second-level cache. Two neighbours along the summed dimension share a word (the
//! former in its low half), as the processor's dot products of pairs read them: those of AMX's
//! tiles (`tiles`), or those of vectors (`block`).
//!
//! Where the processor has neither, pairs are widened to `f32` in registers. The instructions take
//! operands below 2⁻¹²⁶ for zero and flush sums below it to zero (Intel SDM, `VDPBF16PS`,
//! `TDPBF16PS`); the widened path does neither.

mod block;
mod halves;
mod layout;
mod left;
mod lines;
mod panels;
mod product;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tiles;

pub use halves::{round, widen};
pub(crate) use left::Left;
pub(crate) use panels::Source;
pub(crate) use product::{Product, products, with_panels};

use crate::error::{KernelError, area, check_length};
use crate::isa::{self, Isa};
use layout::Layout;
use lines::Line;

/// A linear layer's weight, rounded to bfloat16 and laid out for its two products.
///
/// Takes four bytes a number, two for each product.
#[derive(Debug, Clone)]
pub struct PackedWeight {
    isa: Isa,
    n_out: usize,
    n_in: usize,
    forward: Vec<Line>,
    backward: Vec<Line>,
}

impl PackedWeight {
    /// Room for a weight `[n_out, n_in]`; zeros until [`Self::pack`].
    pub fn new(n_out: usize, n_in: usize) -> Self {
        Self::with_isa(isa::active(), n_out, n_in)
    }

    fn with_isa(isa: Isa, n_out: usize, n_in: usize) -> Self {
        let layout = Layout::of(isa);
        let forward = lines::zeros(layout.n_words(n_in, n_out));
        let backward = lines::zeros(layout.n_words(n_out, n_in));
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
        let layout = Layout::of(isa);
        let [forward, backward] =
            [&mut self.forward, &mut self.backward].map(|lines| lines::words_mut(lines));
        let forward = &mut forward[..layout.n_words(n_in, n_out)];
        panels::pack(isa, [n_in, n_out], Source::Columns(weight), forward);
        let backward = &mut backward[..layout.n_words(n_out, n_in)];
        panels::pack(isa, [n_out, n_in], Source::Rows(weight), backward);
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
        &lines::words(&self.forward)[..Layout::of(self.isa).n_words(self.n_in, self.n_out)]
    }

    /// Panels of the weight, `[n_out, n_in]`.
    pub(crate) fn backward(&self) -> &[u32] {
        &lines::words(&self.backward)[..Layout::of(self.isa).n_words(self.n_out, self.n_in)]
    }
}
