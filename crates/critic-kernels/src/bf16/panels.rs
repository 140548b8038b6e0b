//! The right operand: panels of columns, a pair of rows after the other.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::area;
use crate::isa::Isa;
use crate::simd::{Kernel, Simd, dispatch_on, pair};

/// Pairs of a column that are rounded at a time.
const PAIRS: usize = 16;

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
    words.par_chunks_mut(k.div_ceil(2) * width).enumerate().for_each(|(panel, words)| {
        let columns = panel * width..n.min((panel + 1) * width);
        dispatch_on(isa, Pack { k, n, source, columns, words });
    });
}

struct Pack<'a> {
    k: usize,
    n: usize,
    source: Source<'a>,
    columns: Range<usize>,
    words: &'a mut [u32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { k, n, source, columns, words } = self;
        if columns.len() < S::PANEL {
            words.fill(0);
        }
        match source {
            Source::Rows(x) => {
                for (pair_row, words) in words.chunks_exact_mut(S::PANEL).enumerate() {
                    let former = &x[2 * pair_row * n..][columns.clone()];
                    if 2 * pair_row + 1 < k {
                        let latter = &x[(2 * pair_row + 1) * n..][columns.clone()];
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
                for (block, words) in words.chunks_mut(PAIRS * S::PANEL).enumerate() {
                    let rows = 2 * PAIRS * block..k.min(2 * PAIRS * (block + 1));
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
