//! A block of a product: its left operand packed, then tile after tile in registers.

use std::cell::Cell;
use std::ops::Range;

use super::layout::{DEPTH, Layout};
use super::left::{self, Left};
use super::lines::{self, Line};
use super::product::OutBlock;
use crate::linear::Update;
use crate::simd::{DotKernel, Dots, Simd};

/// Rows of a block of the result, at most.
pub(super) const MOST_ROWS: usize = 384;
/// Pairs of the left operand that are packed at a time, at most: a part of the second-level cache.
const PACKED: usize = MOST_ROWS * DEPTH;

thread_local! {
    /// A block of the left operand.
    static LEFT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// A block of the result.
pub(super) struct Block<'a> {
    pub(super) sizes: [usize; 3],
    pub(super) layout: Layout,
    pub(super) left: Left<'a>,
    pub(super) right: &'a [u32],
    pub(super) out: OutBlock<'a>,
    pub(super) rows: Range<usize>,
    pub(super) panels: Range<usize>,
    pub(super) update: Update,
}

impl DotKernel for Block<'_> {
    #[inline(always)]
    fn run<D: Dots>(self, dots: D) {
        match D::Simd::PANEL_BLOCKS {
            3 => block::<D, 8, 3>(dots, self),
            2 => block::<D, 6, 2>(dots, self),
            _ => block::<D, 4, 1>(dots, self),
        }
    }
}

/// All tiles of a block, `R` rows by `C` vectors each.
#[inline(always)]
fn block<D: Dots, const R: usize, const C: usize>(dots: D, mut block: Block<'_>) {
    let [m, k, n] = block.sizes;
    let (panel_width, simd) = (D::Simd::PANEL, dots.simd());
    let n_pairs = block.layout.n_pairs(k);
    let (step, n_panels) = (block.layout.piece_depth(k), n.div_ceil(panel_width));
    let groups = block.rows.len().div_ceil(R);
    let packed = PACKED / (groups * R) / step * step;
    let mut room = LEFT.take();
    if lines::words(&room).len() < PACKED * D::LEFT_WORDS {
        room = lines::zeros(PACKED * D::LEFT_WORDS);
    }
    for start in (0..n_pairs).step_by(packed) {
        let packed = start..n_pairs.min(start + packed);
        let left = &mut D::lefts_mut(lines::words_mut(&mut room))[..groups * R * packed.len()];
        left::pack::<D, R>(
            dots,
            block.left,
            [m, k],
            block.rows.clone(),
            packed.clone(),
            step,
            left,
        );
        for (start, left) in packed.clone().step_by(step).zip(left.chunks(groups * R * step)) {
            let depth = start..packed.end.min(start + step);
            let write = start == 0 && block.update == Update::Write;
            for panel in block.panels.clone() {
                let right = &block.right[(start * n_panels + panel * depth.len()) * panel_width..];
                let (right, next) = right.split_at(depth.len() * panel_width);
                let next = next.get(..right.len()).unwrap_or(right);
                let [right, next] =
                    [right, next].map(|words| D::Simd::words(words).as_chunks::<C>().0);
                let column = (panel - block.panels.start) * panel_width;
                for (group, left) in left.chunks_exact(R * depth.len()).enumerate() {
                    let rows = R.min(block.rows.len() - group * R);
                    if start == 0 && !write {
                        for r in 0..rows {
                            D::prefetch(block.out.row(group * R + r, column, panel_width));
                        }
                    }
                    let sums = match (block.left, group + 1 == groups) {
                        (Left::Rows(_), false) => {
                            by_rows::<D, R, C, false>(dots, left, right, next)
                        }
                        (Left::Rows(_), true) => by_rows::<D, R, C, true>(dots, left, right, next),
                        (Left::Columns(_), false) => {
                            by_columns::<D, R, C, false>(dots, left, right, next)
                        }
                        (Left::Columns(_), true) => {
                            by_columns::<D, R, C, true>(dots, left, right, next)
                        }
                    };
                    for r in 0..rows {
                        let to = block.out.row(group * R + r, column, panel_width);
                        put::<D::Simd, C>(simd, &sums[r], to, write);
                    }
                }
            }
        }
    }
    LEFT.set(room);
}

/// The sums of a tile of `R` rows by `C` vectors.
type Sums<D, const R: usize, const C: usize> = [[<<D as Dots>::Simd as Simd>::Vector; C]; R];
/// A step of a right panel, a pair of each of its columns.
type Step<D, const C: usize> = [<<D as Dots>::Simd as Simd>::Words; C];

/// A tile's sums, its left operand a row after the other; with `AHEAD` it asks for the next panel.
#[inline(always)]
fn by_rows<D: Dots, const R: usize, const C: usize, const AHEAD: bool>(
    dots: D,
    left: &[D::Left],
    right: &[Step<D, C>],
    next: &[Step<D, C>],
) -> Sums<D, R, C> {
    let mut rows = [&left[..0]; R];
    for r in 0..R {
        rows[r] = &left[r * right.len()..][..right.len()];
    }
    let mut sums = [[dots.simd().splat(0.0); C]; R];
    for (step, (right, next)) in right.iter().zip(next).enumerate() {
        if AHEAD {
            D::prefetch(next);
        }
        let mut column = [rows[0][step]; R];
        for r in 1..R {
            column[r] = rows[r][step];
        }
        dots.add(column, right, &mut sums);
    }
    sums
}

/// A tile's sums, its left operand a pair of columns after the other; `AHEAD` as for [`by_rows`].
#[inline(always)]
fn by_columns<D: Dots, const R: usize, const C: usize, const AHEAD: bool>(
    dots: D,
    left: &[D::Left],
    right: &[Step<D, C>],
    next: &[Step<D, C>],
) -> Sums<D, R, C> {
    let mut sums = [[dots.simd().splat(0.0); C]; R];
    for ((column, right), next) in left.as_chunks::<R>().0.iter().zip(right).zip(next) {
        if AHEAD {
            D::prefetch(next);
        }
        dots.add(*column, right, &mut sums);
    }
    sums
}

/// Puts a row of a tile to its place, which is shorter at the result's edge.
#[inline(always)]
fn put<S: Simd, const C: usize>(simd: S, sums: &[S::Vector; C], to: &mut [f32], write: bool) {
    if to.len() == S::PANEL {
        for (to, sum) in S::blocks_mut(to).0.iter_mut().zip(sums) {
            let sum = if write { *sum } else { simd.add(simd.load(to), *sum) };
            simd.store(sum, to);
        }
        return;
    }
    let width = S::PANEL / C;
    for (to, sum) in to.chunks_mut(width).zip(sums) {
        let mut block = S::padded(&[], 0.0);
        simd.store(*sum, &mut block);
        for (to, sum) in to.iter_mut().zip(S::numbers(&block)) {
            *to = if write { *sum } else { *to + sum };
        }
    }
}
