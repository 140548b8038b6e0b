//! The right operand: pieces of some depth, in them panels of columns, in them a pair of rows after the
//! other. A block of the result reads its part of a piece from one end to the other.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::area;
use crate::isa::Isa;
use crate::simd::{Kernel, Simd, dispatch_on, pair};

/// Pairs of a column that are rounded at a time.
const PAIRS: usize = 16;
/// Pairs of the summed dimension in a piece, at most: a panel of so many stays in the first-level cache
/// while the rows of a block pass by.
pub(super) const DEPTH: usize = 144;

/// Pairs of the summed dimension in a piece; the last has the rest.
pub(super) fn piece_depth(k: usize) -> usize {
    let n_pairs = k.div_ceil(2);
    n_pairs.div_ceil(n_pairs.div_ceil(DEPTH).max(1)).max(1)
}

/// Where the right operand `[k, n]` is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// Column-major.
    Columns(&'a [f32]),
}

/// Words of the panels of a right operand `[k, n]`.
pub(super) fn n_words(k: usize, n: usize, width: usize) -> usize {
    area(area(n.div_ceil(width), width), k.div_ceil(2))
}

/// Columns of a panel.
pub(super) fn panel_width(isa: Isa) -> usize {
    dispatch_on(isa, Width)
}

pub(super) struct Width;

impl Kernel for Width {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::PANEL
    }
}

/// Fills the panels of a right operand `[k, n]`; columns and rows beyond it are zeros.
pub(super) fn pack(isa: Isa, [k, n]: [usize; 2], source: Source<'_>, words: &mut [u32]) {
    let width = panel_width(isa);
    if words.is_empty() {
        return;
    }
    let (depth, n_panels) = (piece_depth(k), n.div_ceil(width));
    let pieces = words.par_chunks_mut(n_panels * depth * width).enumerate();
    pieces.for_each(|(piece, words)| {
        let rows = 2 * piece * depth..k.min(2 * (piece + 1) * depth);
        let panels = words.par_chunks_mut(rows.len().div_ceil(2) * width).enumerate();
        panels.for_each(|(panel, words)| {
            let columns = panel * width..n.min((panel + 1) * width);
            dispatch_on(isa, Pack { sizes: [k, n], source, rows: rows.clone(), columns, words });
        });
    });
}

/// A panel of a piece.
struct Pack<'a> {
    sizes: [usize; 2],
    source: Source<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    words: &'a mut [u32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { sizes: [k, n], source, rows, columns, words } = self;
        if columns.len() < S::PANEL {
            words.fill(0);
        }
        match source {
            Source::Rows(x) => {
                for (row, words) in rows.step_by(2).zip(words.chunks_exact_mut(S::PANEL)) {
                    let former = &x[row * n..][columns.clone()];
                    if row + 1 < k {
                        let latter = &x[(row + 1) * n..][columns.clone()];
                        for ((to, former), latter) in words.iter_mut().zip(former).zip(latter) {
                            *to = pair(*former, *latter);
                        }
                    } else {
                        for (to, former) in words.iter_mut().zip(former) {
                            *to = pair(*former, 0.0);
                        }
                    }
                }
            }
            Source::Columns(x) => {
                let blocks =
                    rows.clone().step_by(2 * PAIRS).zip(words.chunks_mut(PAIRS * S::PANEL));
                for (first, words) in blocks {
                    let rows = first..rows.end.min(first + 2 * PAIRS);
                    for (at, column) in columns.clone().enumerate() {
                        let mut pairs = [0; PAIRS];
                        let (whole, rest) = x[column * k..][rows.clone()].as_chunks::<2>();
                        for (to, x) in pairs.iter_mut().zip(whole) {
                            *to = pair(x[0], x[1]);
                        }
                        if let [last] = rest {
                            pairs[whole.len()] = pair(*last, 0.0);
                        }
                        for (words, pair) in words.chunks_exact_mut(S::PANEL).zip(pairs) {
                            words[at] = pair;
                        }
                    }
                }
            }
        }
    }
}
