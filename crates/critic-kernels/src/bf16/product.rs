//! The product itself: blocks of the result, register tiles within them.
#![expect(unsafe_code, reason = "blocks of the result are columns of rows, which no slice is")]

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::left::{self, Left};
use super::panels::{self, DEPTH, Source, panel_width, piece_depth};
use crate::isa::Isa;
use crate::linear::Update;
use crate::simd::{DotKernel, Dots, Simd, dispatch_dots};

/// Rows of a block of the result, at most and, where there are so many, at least.
const ROWS: [usize; 2] = [384, 48];
/// What the rows of a block are a multiple of, as every tile's rows divide it.
const ROWS_STEP: usize = 24;
/// Panels of a block of the result, at most and, where there are so many, at least.
const PANELS: [usize; 2] = [16, 2];
/// Pairs of the left operand that are packed at a time, at most: a part of the second-level cache.
const PACKED: usize = ROWS[0] * DEPTH;
/// Blocks a thread: many, so that a thread which starts late leaves some to the others, or few of a large
/// product, so that a panel which comes from memory meets more rows.
const BLOCKS_PER_THREAD: [usize; 2] = [8, 2];
/// Steps of panels, rows times panels times depth, that a thread has of a large product.
const LARGE: usize = 1 << 25;

thread_local! {
    /// A block of the left operand.
    static LEFT: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    /// The panels of a right operand that is packed for one product.
    static RIGHT: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// `out = left · right`, or `out += left · right`, with `right` packed for `isa`.
///
/// A number of the result meets its terms by ascending pairs, in sums of as many as the depth
/// says, whatever block and tile it lies in.
///
/// # Shapes
/// `left`: `[m, k]`, `right`: panels of `[k, n]`, `out`: `[m, n]`; checked by the caller.
pub(crate) fn product(
    isa: Isa,
    sizes @ [m, k, n]: [usize; 3],
    left: Left<'_>,
    right: &[u32],
    out: &mut [f32],
    update: Update,
) {
    let width = panel_width(isa);
    let (Left::Rows(x) | Left::Columns(x)) = left;
    assert!(x.len() == m * k && out.len() == m * n && right.len() == panels::n_words(k, n, width));
    if k == 0 && update == Update::Write {
        out.fill(0.0);
    }
    if out.is_empty() || k == 0 {
        return;
    }
    let n_panels = n.div_ceil(width);
    let (rows, panels) = block_sizes(m, n_panels, k);
    let row_blocks = m.div_ceil(rows);
    let out = Output { start: out.as_mut_ptr(), sizes: [m, n] };
    (0..row_blocks * n_panels.div_ceil(panels)).into_par_iter().for_each(|block| {
        let (row, panel) = (block % row_blocks * rows, block / row_blocks * panels);
        let (rows, panels) = (row..m.min(row + rows), panel..n_panels.min(panel + panels));
        // SAFETY: blocks share no number, and `out` outlives them all.
        let out =
            unsafe { out.block(rows.clone(), panels.start * width..n.min(panels.end * width)) };
        dispatch_dots(isa, Block { sizes, left, right, out, rows, panels, update });
    });
}

/// Rows and panels of a block: as many panels as may be, since blocks of fewer pack the same rows again.
fn block_sizes(m: usize, n_panels: usize, k: usize) -> (usize, usize) {
    let threads = rayon::current_num_threads();
    let [many, few] = BLOCKS_PER_THREAD.map(|blocks| blocks * threads);
    let enough = if m * n_panels * k / threads > LARGE { few } else { many };
    let panel_blocks = n_panels.div_ceil(PANELS[0]);
    let row_blocks = enough.div_ceil(panel_blocks).max(m.div_ceil(ROWS[0]));
    let rows = m.div_ceil(row_blocks).max(ROWS[1]).next_multiple_of(ROWS_STEP);
    let mut panels = n_panels.div_ceil(panel_blocks);
    while panels > PANELS[1] && m.div_ceil(rows) * n_panels.div_ceil(panels) < few {
        panels = panels.div_ceil(2);
    }
    (rows, panels)
}

/// Calls `body` with the panels of a right operand `[k, n]`, packed for this call.
pub(crate) fn with_panels(
    isa: Isa,
    [k, n]: [usize; 2],
    source: Source<'_>,
    body: impl FnOnce(&[u32]),
) {
    let mut words = RIGHT.take();
    words.resize(panels::n_words(k, n, panel_width(isa)), 0);
    panels::pack(isa, [k, n], source, &mut words);
    body(&words);
    RIGHT.set(words);
}

/// The result, shared by the tasks.
#[derive(Clone, Copy)]
struct Output {
    start: *mut f32,
    sizes: [usize; 2],
}

// SAFETY: `block`'s contract keeps the numbers that two threads reach apart.
unsafe impl Send for Output {}
// SAFETY: as for `Send`.
unsafe impl Sync for Output {}

impl Output {
    /// Some columns of some rows.
    ///
    /// # Safety
    /// Nothing else may reach these numbers while the block lives, and the result must live as
    /// long.
    unsafe fn block<'a>(self, rows: Range<usize>, columns: Range<usize>) -> OutBlock<'a> {
        assert!(rows.end <= self.sizes[0] && columns.end <= self.sizes[1]);
        OutBlock { out: self, rows, columns, lifetime: std::marker::PhantomData }
    }
}

/// Some columns of some rows of the result.
struct OutBlock<'a> {
    out: Output,
    rows: Range<usize>,
    columns: Range<usize>,
    lifetime: std::marker::PhantomData<&'a mut f32>,
}

impl OutBlock<'_> {
    /// Up to `width` columns of a row, `column` counted from the block's first.
    #[inline(always)]
    fn row(&mut self, row: usize, column: usize, width: usize) -> &mut [f32] {
        let (row, column) = (self.rows.start + row, self.columns.start + column);
        assert!(row < self.rows.end && column < self.columns.end);
        let width = width.min(self.columns.end - column);
        // SAFETY: row and column lie within the block, whose numbers nothing else reaches while
        // it lives; the borrow of `self` keeps its own slices apart.
        unsafe {
            let start = self.out.start.add(row * self.out.sizes[1] + column);
            std::slice::from_raw_parts_mut(start, width)
        }
    }
}

/// A block of the result.
struct Block<'a> {
    sizes: [usize; 3],
    left: Left<'a>,
    right: &'a [u32],
    out: OutBlock<'a>,
    rows: Range<usize>,
    panels: Range<usize>,
    update: Update,
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
    let n_pairs = k.div_ceil(2);
    let (step, n_panels) = (piece_depth(k), n.div_ceil(panel_width));
    let groups = block.rows.len().div_ceil(R);
    let packed = PACKED / (groups * R) / step * step;
    let mut words = LEFT.take();
    words.resize(PACKED * D::LEFT_WORDS, 0);
    for start in (0..n_pairs).step_by(packed) {
        let packed = start..n_pairs.min(start + packed);
        let left = &mut D::lefts_mut(&mut words)[..groups * R * packed.len()];
        left::pack::<D, R>(block.left, [m, k], block.rows.clone(), packed.clone(), step, left);
        for (start, left) in packed.clone().step_by(step).zip(left.chunks(groups * R * step)) {
            let depth = start..packed.end.min(start + step);
            let write = start == 0 && block.update == Update::Write;
            for panel in block.panels.clone() {
                let right = &block.right[(start * n_panels + panel * depth.len()) * panel_width..];
                let right = D::Simd::words(&right[..depth.len() * panel_width]).as_chunks::<C>().0;
                let column = (panel - block.panels.start) * panel_width;
                for (group, left) in left.chunks_exact(R * depth.len()).enumerate() {
                    let rows = R.min(block.rows.len() - group * R);
                    if start == 0 && !write {
                        for r in 0..rows {
                            D::prefetch(block.out.row(group * R + r, column, panel_width));
                        }
                    }
                    let sums = match block.left {
                        Left::Rows(_) => tile_by_rows::<D, R, C>(dots, left, right),
                        Left::Columns(_) => tile_by_columns::<D, R, C>(dots, left, right),
                    };
                    for r in 0..rows {
                        let to = block.out.row(group * R + r, column, panel_width);
                        put::<D::Simd, C>(simd, &sums[r], to, write);
                    }
                }
            }
        }
    }
    LEFT.set(words);
}

/// The sums of a tile of `R` rows by `C` vectors.
type Sums<D, const R: usize, const C: usize> = [[<<D as Dots>::Simd as Simd>::Vector; C]; R];
/// A step of a right panel, a pair of each of its columns.
type Step<D, const C: usize> = [<<D as Dots>::Simd as Simd>::Words; C];

/// A tile's sums, its left operand a row after the other.
#[inline(always)]
fn tile_by_rows<D: Dots, const R: usize, const C: usize>(
    dots: D,
    left: &[D::Left],
    right: &[Step<D, C>],
) -> Sums<D, R, C> {
    let mut rows = [&left[..0]; R];
    for r in 0..R {
        rows[r] = &left[r * right.len()..][..right.len()];
    }
    let mut sums = [[dots.simd().splat(0.0); C]; R];
    for (step, right) in right.iter().enumerate() {
        let mut column = [rows[0][step]; R];
        for r in 1..R {
            column[r] = rows[r][step];
        }
        dots.add(column, right, &mut sums);
    }
    sums
}

/// A tile's sums, its left operand a pair of columns after the other.
#[inline(always)]
fn tile_by_columns<D: Dots, const R: usize, const C: usize>(
    dots: D,
    left: &[D::Left],
    right: &[Step<D, C>],
) -> Sums<D, R, C> {
    let mut sums = [[dots.simd().splat(0.0); C]; R];
    for (column, right) in left.as_chunks::<R>().0.iter().zip(right) {
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
