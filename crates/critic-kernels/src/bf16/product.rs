//! Products cut into blocks of their results, which the threads share.
#![expect(unsafe_code, reason = "blocks of the result are columns of rows, which no slice is")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::block::{Block, MOST_ROWS};
use super::layout::Layout;
use super::left::Left;
use super::lines::{self, Line};
use super::panels::{self, Source};
use crate::isa::Isa;
use crate::linear::Update;
#[cfg(target_arch = "x86_64")]
use crate::simd::amx::{Amx, OutTile, TILE_COLUMNS, TILE_ROWS};
use crate::simd::dispatch_dots;

/// Rows of a block of the result, at most and, where there are so many, at least.
const ROWS: [usize; 2] = [MOST_ROWS, 48];
/// Panels of a block of the result, where there are so many, at least.
const FEWEST_PANELS: usize = 2;
/// Blocks a thread: many, so that a thread which starts late leaves some to the others, or few of a large
/// product, so that a panel which comes from memory meets more rows.
const BLOCKS_PER_THREAD: [usize; 2] = [8, 2];
/// Steps of panels, rows times panels times depth, that a thread has of a large product.
const LARGE: usize = 1 << 25;

thread_local! {
    /// The panels of right operands that are packed for one call, and after them what a larger one left.
    static RIGHT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// `out = left · right`, or `out += left · right`, with `right` packed for `isa`.
///
/// A number of the result meets its terms by ascending pairs, in sums of as many as the depth says
/// (by tiles: of sixteen pairs, their former and latter terms apart), whatever block and tile it
/// lies in.
///
/// # Shapes
/// `left`: `[m, k]`, `right`: panels of `[k, n]`, `out`: `[m, n]`, with `sizes` = `[m, k, n]`; checked by
/// the caller.
pub(crate) struct Product<'a> {
    pub(crate) isa: Isa,
    pub(crate) sizes: [usize; 3],
    pub(crate) left: Left<'a>,
    pub(crate) right: &'a [u32],
    pub(crate) out: &'a mut [f32],
    pub(crate) update: Update,
}

/// Works out products, the blocks of all of them side by side: a thread that is done with one goes on with
/// the next.
pub(crate) fn products<'a>(products: impl IntoIterator<Item = Product<'a>>) {
    let plans: Vec<Plan<'_>> = products.into_iter().filter_map(Plan::new).collect();
    let blocks = (0..plans.iter().map(|plan| plan.n_blocks).sum::<usize>()).into_par_iter();
    blocks.with_max_len(1).for_each(|mut block| {
        for plan in &plans {
            if block < plan.n_blocks {
                return plan.work_out(block);
            }
            block -= plan.n_blocks;
        }
    });
}

/// A product cut into blocks of its result.
struct Plan<'a> {
    isa: Isa,
    layout: Layout,
    sizes: [usize; 3],
    left: Left<'a>,
    right: &'a [u32],
    out: Output<'a>,
    update: Update,
    /// Rows and panels of a block, and blocks that stand below each other.
    rows: usize,
    panels: usize,
    row_blocks: usize,
    n_blocks: usize,
}

impl<'a> Plan<'a> {
    /// None where nothing is left to do.
    fn new(product: Product<'a>) -> Option<Self> {
        let Product { isa, sizes: sizes @ [m, k, n], left, right, out, update } = product;
        let layout @ Layout { width, .. } = Layout::of(isa);
        let (Left::Rows(x) | Left::Columns(x)) = left;
        assert!(x.len() == m * k && out.len() == m * n && right.len() == layout.n_words(k, n));
        if k == 0 && update == Update::Write {
            out.fill(0.0);
        }
        if out.is_empty() || k == 0 {
            return None;
        }
        let n_panels = n.div_ceil(width);
        let (rows, panels) = block_sizes(layout, m, n_panels, k);
        let row_blocks = m.div_ceil(rows);
        let n_blocks = row_blocks * n_panels.div_ceil(panels);
        let out = Output { start: out.as_mut_ptr(), sizes: [m, n], lifetime: PhantomData };
        Some(Self {
            isa,
            layout,
            sizes,
            left,
            right,
            out,
            update,
            rows,
            panels,
            row_blocks,
            n_blocks,
        })
    }

    fn work_out(&self, block: usize) {
        let Self { isa, layout, sizes: sizes @ [m, _, n], left, right, update, .. } = *self;
        let Layout { width, .. } = layout;
        let row = block % self.row_blocks * self.rows;
        let panel = block / self.row_blocks * self.panels;
        let rows = row..m.min(row + self.rows);
        let panels = panel..n.div_ceil(width).min(panel + self.panels);
        // SAFETY: blocks share no number, and `products` has each worked out once.
        let out = unsafe {
            self.out.block(rows.clone(), panels.start * width..n.min(panels.end * width))
        };
        let block = Block { sizes, layout, left, right, out, rows, panels, update };
        #[cfg(target_arch = "x86_64")]
        if let Some(amx) = Amx::on(isa) {
            return amx.dispatch(block);
        }
        dispatch_dots(isa, block);
    }
}

/// Rows and panels of a block: as many panels as may be, since blocks of fewer pack the same rows again.
fn block_sizes(layout: Layout, m: usize, n_panels: usize, k: usize) -> (usize, usize) {
    let threads = rayon::current_num_threads();
    let [many, few] = BLOCKS_PER_THREAD.map(|blocks| blocks * threads);
    let enough = if m * n_panels * k / threads > LARGE { few } else { many };
    let panel_blocks = n_panels.div_ceil(layout.panels);
    let row_blocks = enough.div_ceil(panel_blocks).max(m.div_ceil(ROWS[0]));
    let rows = m.div_ceil(row_blocks).max(ROWS[1]).next_multiple_of(layout.rows);
    let mut panels = n_panels.div_ceil(panel_blocks);
    while panels > FEWEST_PANELS && m.div_ceil(rows) * n_panels.div_ceil(panels) < few {
        panels = panels.div_ceil(2);
    }
    (rows, panels)
}

/// Calls `body` with the panels of right operands `[k, n]`, packed for this call.
pub(crate) fn with_panels(
    isa: Isa,
    operands: &[([usize; 2], Source<'_>)],
    body: impl FnOnce(&[&[u32]]),
) {
    let layout = Layout::of(isa);
    let lengths = operands.iter().map(|([k, n], _)| layout.n_words(*k, *n));
    let n_words: usize = lengths.clone().sum();
    let mut room = RIGHT.take();
    if lines::words(&room).len() < n_words {
        room = lines::zeros(n_words);
    }
    let mut rest = &mut lines::words_mut(&mut room)[..n_words];
    let parts: Vec<&mut [u32]> =
        lengths.clone().filter_map(|length| rest.split_off_mut(..length)).collect();
    parts.into_par_iter().zip(operands).for_each(|(words, (sizes, source))| {
        panels::pack(isa, *sizes, *source, words);
    });
    let mut rest = &lines::words(&room)[..n_words];
    let panels: Vec<&[u32]> = lengths.filter_map(|length| rest.split_off(..length)).collect();
    body(&panels);
    RIGHT.set(room);
}

/// The result, shared by the tasks.
#[derive(Clone, Copy)]
struct Output<'a> {
    start: *mut f32,
    sizes: [usize; 2],
    lifetime: PhantomData<&'a mut f32>,
}

// SAFETY: `block`'s contract keeps the numbers that two threads reach apart.
unsafe impl Send for Output<'_> {}
// SAFETY: as for `Send`.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    /// Some columns of some rows.
    ///
    /// # Safety
    /// Nothing else may reach these numbers while the block lives.
    unsafe fn block(self, rows: Range<usize>, columns: Range<usize>) -> OutBlock<'a> {
        assert!(rows.end <= self.sizes[0] && columns.end <= self.sizes[1]);
        OutBlock { out: self, rows, columns }
    }
}

/// Some columns of some rows of the result.
pub(super) struct OutBlock<'a> {
    out: Output<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl OutBlock<'_> {
    /// The tile whose first number is there, where it lies within the block; both counted from the block's
    /// first.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn tile(&mut self, row: usize, column: usize) -> Option<OutTile<'_>> {
        let (row, column) = (self.rows.start + row, self.columns.start + column);
        if row + TILE_ROWS > self.rows.end || column + TILE_COLUMNS > self.columns.end {
            return None;
        }
        // SAFETY: the tile lies within the block, whose numbers nothing else reaches while it lives; the
        // borrow of `self` keeps its own tiles and slices apart.
        Some(unsafe {
            let start = self.out.start.add(row * self.out.sizes[1] + column);
            OutTile::new(start, self.out.sizes[1])
        })
    }

    /// Up to `width` columns of a row, `column` counted from the block's first.
    #[inline(always)]
    pub(super) fn row(&mut self, row: usize, column: usize, width: usize) -> &mut [f32] {
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
