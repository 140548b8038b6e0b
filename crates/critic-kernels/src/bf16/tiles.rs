//! A block of a product by the processor's tiles.

use std::cell::Cell;
use std::ops::Range;

use super::block::{Block, MOST_ROWS};
use super::layout::Layout;
use super::left::Left;
use super::lines::{self, LINE, Line};
use crate::linear::Update;
use crate::simd::amx::{OutTile, TILE_COLUMNS, TILE_PAIRS, TILE_ROWS, TileKernel, Tiles};
use crate::simd::{Avx512Bf16, Dots};

/// How tiles want their operands.
pub(super) const LAYOUT: Layout =
    Layout { width: TILE_COLUMNS, step: TILE_PAIRS, depth: 288, panels: 24, rows: TILE_ROWS };

thread_local! {
    /// A piece of a block of the left operand.
    static LEFT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

impl TileKernel for Block<'_> {
    #[inline(always)]
    fn run(mut self, tiles: &mut Tiles) {
        let [m, k, n] = self.sizes;
        let (n_pairs, step) = (LAYOUT.n_pairs(k), LAYOUT.piece_depth(k));
        let n_panels = n.div_ceil(TILE_COLUMNS);
        let groups = self.rows.len().div_ceil(TILE_ROWS);
        let mut room = LEFT.take();
        if room.is_empty() {
            room = lines::zeros(MOST_ROWS * LAYOUT.depth);
        }
        for start in (0..n_pairs).step_by(step) {
            let depth = start..n_pairs.min(start + step);
            let left = &mut lines::words_mut(&mut room)[..groups * TILE_ROWS * depth.len()];
            let rows = self.rows.clone();
            match self.left {
                Left::Rows(x) => pack_rows(tiles.vectors, x, k, rows, depth.clone(), left),
                Left::Columns(x) => {
                    pack_columns(tiles.vectors, x, [m, k], rows, depth.clone(), left);
                }
            }
            let add = start > 0 || self.update == Update::Add;
            for panel in self.panels.clone() {
                let right = (start * n_panels + panel * depth.len()) * TILE_COLUMNS;
                let (right, next) = self.right[right..].split_at(depth.len() * TILE_COLUMNS);
                let part = right.len().div_ceil(groups);
                let column = (panel - self.panels.start) * TILE_COLUMNS;
                for (group, left) in left.chunks_exact(TILE_ROWS * depth.len()).enumerate() {
                    let row = group * TILE_ROWS;
                    let next = next.get(group * part..).unwrap_or(&[]);
                    for row in row + TILE_ROWS..self.rows.len().min(row + 2 * TILE_ROWS) {
                        Avx512Bf16::prefetch(self.out.row(row, column, TILE_COLUMNS));
                    }
                    match self.out.tile(row, column) {
                        Some(out) => tiles.multiply(left, right, next, out, add),
                        None => self.at_the_edge(tiles, [row, column], left, right, add),
                    }
                }
            }
        }
        LEFT.set(room);
    }
}

impl Block<'_> {
    /// A tile that reaches over the result's edge, worked out beside it: with the same bits as within it.
    #[inline(always)]
    fn at_the_edge(
        &mut self,
        tiles: &mut Tiles,
        [row, column]: [usize; 2],
        left: &[u32],
        right: &[u32],
        add: bool,
    ) {
        let mut numbers = [[0.0; TILE_COLUMNS]; TILE_ROWS];
        let rows = TILE_ROWS.min(self.rows.len() - row);
        if add {
            for (r, numbers) in numbers[..rows].iter_mut().enumerate() {
                let out = self.out.row(row + r, column, TILE_COLUMNS);
                numbers[..out.len()].copy_from_slice(out);
            }
        }
        tiles.multiply(left, right, &[], OutTile::whole(&mut numbers), add);
        for (r, numbers) in numbers[..rows].iter().enumerate() {
            let out = self.out.row(row + r, column, TILE_COLUMNS);
            out.copy_from_slice(&numbers[..out.len()]);
        }
    }
}

/// Packs `rows` of a row-major left operand by the pairs `depth`; groups of [`TILE_ROWS`] rows, in them a line
/// of each row after the other, zeros beyond the last row and the last pair.
#[inline(always)]
fn pack_rows(
    vectors: Avx512Bf16,
    x: &[f32],
    k: usize,
    rows: Range<usize>,
    depth: Range<usize>,
    words: &mut [u32],
) {
    let groups = words.chunks_exact_mut(TILE_ROWS * depth.len());
    let terms = 2 * depth.start..k.min(2 * depth.end);
    for (first, words) in rows.clone().step_by(TILE_ROWS).zip(groups) {
        let lines = words.as_chunks_mut::<LINE>().0;
        for (at, row) in (first..first + TILE_ROWS).enumerate() {
            if row + 1 < rows.end {
                Avx512Bf16::prefetch(&x[(row + 1) * k..][terms.clone()]);
            }
            let x = if row < rows.end { &x[row * k..][terms.clone()] } else { &[] };
            for (step, line) in lines[at..].iter_mut().step_by(TILE_ROWS).enumerate() {
                let x = x.get(2 * LINE * step..).unwrap_or(&[]);
                vectors.put(vectors.neighbours(x), line);
            }
        }
    }
}

/// Packs `rows` of a column-major left operand, as [`pack_rows`].
#[inline(always)]
fn pack_columns(
    vectors: Avx512Bf16,
    x: &[f32],
    [m, k]: [usize; 2],
    rows: Range<usize>,
    depth: Range<usize>,
    words: &mut [u32],
) {
    for step in 0..depth.len() / LINE {
        let term = 2 * (depth.start + step * LINE);
        let groups = words.chunks_exact_mut(TILE_ROWS * depth.len());
        for (group, words) in groups.enumerate() {
            let lines = &mut words.as_chunks_mut::<LINE>().0[step * TILE_ROWS..][..TILE_ROWS];
            for (half, lines) in lines.as_chunks_mut::<LINE>().0.iter_mut().enumerate() {
                let first = rows.end.min(rows.start + group * TILE_ROWS + half * LINE);
                let rows = first..rows.end.min(first + LINE);
                let mut pairs = [vectors.neighbours(&[]); LINE];
                for pair in 0..LINE {
                    let term = term + 2 * pair;
                    if term < k {
                        let former = &x[term * m..][rows.clone()];
                        let latter =
                            if term + 1 < k { &x[(term + 1) * m..][rows.clone()] } else { &[] };
                        pairs[pair] = vectors.interleaved(former, latter);
                    }
                }
                let columns = vectors.transposed(pairs);
                for at in 0..LINE {
                    vectors.put(columns[at], &mut lines[at]);
                }
            }
        }
    }
}
