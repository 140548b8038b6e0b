//! How an instruction set wants its operands.

use crate::error::area;
use crate::isa::Isa;
use crate::simd::{Kernel, Simd, dispatch_on};

/// [`Layout::depth`] of vectors.
pub(super) const DEPTH: usize = 144;

/// How operands are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Columns of a panel.
    pub(super) width: usize,
    /// What the pairs of a piece are a multiple of; zeros fill it up.
    pub(super) step: usize,
    /// Pairs of the summed dimension in a piece, at most: a panel of so many stays in the first-level cache
    /// while the rows of a block pass by.
    pub(super) depth: usize,
    /// Panels of a block, at most.
    pub(super) panels: usize,
    /// What the rows of a block are a multiple of, as every tile's rows divide it.
    pub(super) rows: usize,
}

impl Layout {
    /// The one for `isa`, or for the best that the processor has below it.
    pub(super) fn of(isa: Isa) -> Self {
        #[cfg(target_arch = "x86_64")]
        if crate::simd::amx::Amx::on(isa).is_some() {
            return super::tiles::LAYOUT;
        }
        Self { width: dispatch_on(isa, Width), step: 1, depth: DEPTH, panels: 16, rows: 24 }
    }

    /// Pairs of a summed dimension of `k`.
    pub(super) fn n_pairs(self, k: usize) -> usize {
        k.div_ceil(2).next_multiple_of(self.step)
    }

    /// Pairs of the summed dimension in a piece; the last has the rest.
    pub(super) fn piece_depth(self, k: usize) -> usize {
        let n_pairs = self.n_pairs(k);
        let pieces = n_pairs.div_ceil(self.depth).max(1);
        n_pairs.div_ceil(pieces).next_multiple_of(self.step).max(self.step)
    }

    /// Words of the panels of a right operand `[k, n]`.
    pub(super) fn n_words(self, k: usize, n: usize) -> usize {
        area(area(n.div_ceil(self.width), self.width), self.n_pairs(k))
    }
}

struct Width;

impl Kernel for Width {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::PANEL
    }
}
