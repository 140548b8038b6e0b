//! The right operand: pieces of some depth, in them panels of columns, in them a pair of rows after the
//! other. A block of the result reads its part of a piece from one end to the other.

use std::ops::Range;

use rayon::prelude::*;

use super::layout::Layout;
use crate::isa::Isa;
use crate::simd::{DotKernel, Dots, PAIRED, dispatch_dots};

/// Where the right operand `[k, n]` is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// Column-major.
    Columns(&'a [f32]),
}

/// Fills the panels of a right operand `[k, n]`; columns and rows beyond it are zeros.
pub(super) fn pack(isa: Isa, [k, n]: [usize; 2], source: Source<'_>, words: &mut [u32]) {
    let layout = Layout::of(isa);
    if words.is_empty() {
        return;
    }
    let Layout { width, .. } = layout;
    let (n_pairs, depth, n_panels) = (layout.n_pairs(k), layout.piece_depth(k), n.div_ceil(width));
    let pieces = words.par_chunks_mut(n_panels * depth * width).enumerate();
    pieces.for_each(|(piece, words)| {
        let pairs = piece * depth..n_pairs.min((piece + 1) * depth);
        let panels = words.par_chunks_mut(pairs.len() * width).enumerate();
        panels.for_each(|(panel, words)| {
            let columns = panel * width..n.min((panel + 1) * width);
            let rows = 2 * pairs.start..k.min(2 * pairs.end);
            dispatch_dots(isa, Pack { sizes: [k, n], width, source, rows, columns, words });
        });
    });
}

/// A panel of a piece.
struct Pack<'a> {
    sizes: [usize; 2],
    width: usize,
    source: Source<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    words: &'a mut [u32],
}

impl DotKernel for Pack<'_> {
    #[inline(always)]
    fn run<D: Dots>(self, dots: D) {
        let Self { sizes: [k, n], width, source, rows, columns, words } = self;
        if columns.len() < width || words.len() > rows.len().div_ceil(2) * width {
            words.fill(0);
        }
        match source {
            Source::Rows(x) => {
                for (row, words) in rows.step_by(2).zip(words.chunks_exact_mut(width)) {
                    let former = &x[row * n..][columns.clone()];
                    let latter =
                        if row + 1 < k { &x[(row + 1) * n..][columns.clone()] } else { &[] };
                    dots.interleave(former, latter, words);
                }
            }
            Source::Columns(x) => {
                let blocks = rows.clone().step_by(2 * PAIRED).zip(words.chunks_mut(PAIRED * width));
                for (first, words) in blocks {
                    let rows = first..rows.end.min(first + 2 * PAIRED);
                    for at in (0..width).step_by(PAIRED) {
                        let mut paired = [&x[..0]; PAIRED];
                        for (to, column) in paired.iter_mut().zip(columns.clone().skip(at)) {
                            *to = &x[column * k..][rows.clone()];
                        }
                        let n = PAIRED.min(columns.len().saturating_sub(at));
                        dots.transpose(&paired[..n], &mut words[at..], width);
                    }
                }
            }
        }
    }
}
