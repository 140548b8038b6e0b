//! A weight in the order that the kernels read it.

use std::ops::Range;

use half::{bf16, f16};
use rayon::prelude::*;

use super::Format;
use super::block::Block;
use super::format::SUPER_BLOCK;
use crate::error::{KernelError, check_length};
use crate::simd::integer::{BLOCK, Half, Line, PANEL};

/// Rows that a task looks through for numbers that are not finite.
const CHECKED_ROWS: usize = 64;

/// The weight of a linear layer, `[n_out, n_in]`, held in few bits.
///
/// Sixteen rows make a panel, the last one is filled up with zeros. A panel holds its groups of
/// terms one after the other: the codes of the sixteen rows interleaved, then their scales (and least
/// numbers). Bytes a number: 0.625 (`Q4_0`, `Q4_1`), 0.75 (`Q4_K`), 1.125 (`Q8_0`, `Q5_0`), 1.25
/// (`Q5_1`, `Q5_K`, `Q6_K`), 2 (halves).
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    format: Format,
    n_out: usize,
    n_in: usize,
    lines: Vec<Line>,
}

impl Weight {
    /// Rounds a weight to the numbers that `format` can hold.
    ///
    /// Blocks as the reference quantiser of ggml makes them, to the bit; a last block of a row that
    /// is shorter than 32 is quantised by itself. Halves to the nearest, ties to even.
    ///
    /// # Shapes
    /// `weight`: `[n_out, n_in]`, row-major.
    ///
    /// # Errors
    /// Where a size is 0, the length does not fit, or a number is not finite in the format; and
    /// [`KernelError::OnlyRead`] of the formats of 5 bits and the K formats.
    pub fn from_f32(
        format: Format,
        n_out: usize,
        n_in: usize,
        weight: &[f32],
    ) -> Result<Self, KernelError> {
        check_sizes(n_out, n_in)?;
        check_length("weight", weight.len(), n_out * n_in)?;
        if !format.is_rounded_to() {
            return Err(KernelError::OnlyRead { format: format.name() });
        }
        let has_odd = |row: &[f32]| row.iter().fold(false, |odd, x| odd | !x.is_finite());
        let rows = weight.par_chunks_exact(n_in).with_min_len(CHECKED_ROWS);
        if let Some(row) = rows.position_first(has_odd) {
            let odd = weight[row * n_in..].iter().position(|x| !x.is_finite());
            return Err(not_finite(format, row, odd.unwrap_or_default()));
        }
        let terms = |row: usize, group: usize| {
            let row = &weight[row * n_in..(row + 1) * n_in];
            row.chunks(format.group_len()).nth(group).unwrap_or_default()
        };
        match format.half() {
            None => Self::pack(format, n_out, n_in, |row, group| {
                Block::quantized(format, terms(row, group))
            }),
            Some(half) => Self::pack_halves(format, n_out, n_in, |row, group| {
                let bits = |i: usize| {
                    let x = terms(row, group).get(i).copied().unwrap_or_default();
                    match half {
                        Half::F16 => f16::from_f32(x).to_bits(),
                        Half::Bf16 => bf16::from_f32(x).to_bits(),
                    }
                };
                [bits(0), bits(1)]
            }),
        }
    }

    /// Takes a weight as a GGUF file holds it, number for number.
    ///
    /// Weights of several layers that read the same activations can be made one: the rows of one
    /// weight follow those of another.
    ///
    /// # Shapes
    /// `blocks`: `n_out · n_in / block_len` blocks of [`Format::block_bytes`], row by row.
    ///
    /// # Errors
    /// Where a size is 0, `n_in` is no multiple of [`Format::block_len`], the length does not fit,
    /// or a number is not finite in half precision: a scale, a least number, or −8 times the scale
    /// of `Q4_0`.
    pub fn from_gguf_blocks(
        format: Format,
        n_out: usize,
        n_in: usize,
        blocks: &[u8],
    ) -> Result<Self, KernelError> {
        check_sizes(n_out, n_in)?;
        if !n_in.is_multiple_of(format.block_len()) {
            let rule = match format.block_len() {
                SUPER_BLOCK => "a multiple of 256 for super-blocks of a GGUF file",
                _ => "a multiple of 32 for blocks of a GGUF file",
            };
            return Err(KernelError::InvalidSize { operand: "n_in", found: n_in, rule });
        }
        let row_bytes = n_in / format.block_len() * format.block_bytes();
        check_length("blocks", blocks.len(), n_out * row_bytes)?;
        let bytes = format.block_bytes();
        if format.half().is_none() {
            let groups = format.block_len() / BLOCK;
            return Self::pack(format, n_out, n_in, |row, group| {
                let from = row * row_bytes + group / groups * bytes;
                Block::from_gguf(format, &blocks[from..from + bytes], group % groups)
            });
        }
        Self::pack_halves(format, n_out, n_in, |row, group| {
            let row = &blocks[row * row_bytes..(row + 1) * row_bytes];
            let bits = |i: usize| row.as_chunks().0.get(i).copied().map_or(0, u16::from_le_bytes);
            [bits(2 * group), bits(2 * group + 1)]
        })
    }

    /// Some rows as a weight of their own; `None` where they begin or end within a panel.
    pub fn rows(&self, rows: Range<usize>) -> Option<Self> {
        let whole = |row: usize| row.is_multiple_of(PANEL) || row == self.n_out;
        if rows.is_empty() || rows.end > self.n_out || !whole(rows.start) || !whole(rows.end) {
            return None;
        }
        let lines = self.panels(rows.start / PANEL..rows.end.div_ceil(PANEL)).to_vec();
        Some(Self { format: self.format, n_out: rows.len(), n_in: self.n_in, lines })
    }

    /// How the numbers are held.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows of the weight: numbers that a product gives for a row of activations.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// Columns of the weight: numbers of a row of activations.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }

    /// The lines of some panels.
    pub(super) fn panels(&self, panels: Range<usize>) -> &[Line] {
        let lines = panel_lines(self.format, self.n_in);
        let end = self.lines.len().min(panels.end * lines);
        &self.lines[panels.start * lines..end]
    }

    /// Puts the blocks that `block` gives by row and place into panels.
    fn pack(
        format: Format,
        n_out: usize,
        n_in: usize,
        block: impl Fn(usize, usize) -> Block + Sync,
    ) -> Result<Self, KernelError> {
        Self::fill(format, n_out, n_in, |row, group, lines, lane| {
            let block = block(row, group);
            block.put(format, lines, lane);
            if block.is_finite() { Ok(()) } else { Err(not_finite(format, row, group * BLOCK)) }
        })
    }

    /// Puts the pairs of numbers that `pair` gives by row and place into panels.
    fn pack_halves(
        format: Format,
        n_out: usize,
        n_in: usize,
        pair: impl Fn(usize, usize) -> [u16; 2] + Sync,
    ) -> Result<Self, KernelError> {
        let half = format.half();
        Self::fill(format, n_out, n_in, |row, group, lines, lane| {
            let pair = pair(row, group);
            lines[0].set_word(lane, u32::from(pair[0]) | u32::from(pair[1]) << 16);
            let finite = |bits| half.is_none_or(|half| number(half, bits).is_finite());
            match pair.iter().position(|bits| !finite(*bits)) {
                None => Ok(()),
                Some(i) => Err(not_finite(format, row, 2 * group + i)),
            }
        })
    }

    /// Fills zeroed panels; `put(row, group, lines, lane)` writes one row's part of a group.
    fn fill(
        format: Format,
        n_out: usize,
        n_in: usize,
        put: impl Fn(usize, usize, &mut [Line], usize) -> Result<(), KernelError> + Sync,
    ) -> Result<Self, KernelError> {
        let panel_lines = panel_lines(format, n_in);
        let mut lines = vec![Line::ZERO; n_out.div_ceil(PANEL) * panel_lines];
        let fill_panel = |(p, panel): (usize, &mut [Line])| {
            let rows = p * PANEL..((p + 1) * PANEL).min(n_out);
            for (lane, row) in rows.enumerate() {
                for (g, group) in panel.chunks_mut(format.group_lines()).enumerate() {
                    put(row, g, group, lane)?;
                }
            }
            Ok(())
        };
        let panels = lines.par_chunks_mut(panel_lines).enumerate();
        match panels.map(fill_panel).find_map_first(Result::err) {
            None => Ok(Self { format, n_out, n_in, lines }),
            Some(error) => Err(error),
        }
    }
}

/// Lines of a panel.
pub(super) fn panel_lines(format: Format, n_in: usize) -> usize {
    n_in.div_ceil(format.group_len()) * format.group_lines()
}

/// The number that 16 bits stand for.
fn number(half: Half, bits: u16) -> f32 {
    match half {
        Half::F16 => f16::from_bits(bits).to_f32(),
        Half::Bf16 => bf16::from_bits(bits).to_f32(),
    }
}

fn check_sizes(n_out: usize, n_in: usize) -> Result<(), KernelError> {
    let rule = "at least 1";
    for (operand, found) in [("n_out", n_out), ("n_in", n_in)] {
        if found == 0 {
            return Err(KernelError::InvalidSize { operand, found, rule });
        }
    }
    Ok(())
}

fn not_finite(format: Format, row: usize, term: usize) -> KernelError {
    KernelError::NonFiniteWeight { row, term, format: format.name() }
}
