//! The numbers that a weight stands for, for those who compute in `f32`.

use std::ops::Range;

use rayon::prelude::*;

use super::{Format, Weight};
use crate::error::{KernelError, check_length};
use crate::simd::integer::{BLOCK, Half, Integer, IntegerKernel, Line, PANEL, dispatch};

impl Weight {
    /// Writes the numbers that some rows stand for.
    ///
    /// # Shapes
    /// `out`: `[rows.len(), n_in]`, row-major.
    ///
    /// # Errors
    /// Where there are no such rows, or the length does not fit.
    pub fn dequantize(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), KernelError> {
        if rows.end > self.n_out() {
            let (found, limit) = (rows.end - 1, self.n_out());
            return Err(KernelError::OutOfRange { operand: "rows", index: 0, found, limit });
        }
        check_length("out", out.len(), rows.len() * self.n_in())?;
        if rows.len() <= PANEL {
            dispatch(Rows { weight: self, first: rows.start, out });
            return Ok(());
        }
        out.par_chunks_mut(PANEL * self.n_in()).enumerate().for_each(|(i, out)| {
            dispatch(Rows { weight: self, first: rows.start + i * PANEL, out });
        });
        Ok(())
    }
}

/// Rows from `first` on, as many as `out` has room for.
pub(super) struct Rows<'a> {
    pub(super) weight: &'a Weight,
    pub(super) first: usize,
    pub(super) out: &'a mut [f32],
}

impl IntegerKernel for Rows<'_> {
    #[inline(always)]
    fn run<S: Integer>(self, simd: S) {
        let Self { weight, first, out } = self;
        let (format, n_in) = (weight.format(), weight.n_in());
        let (mut row, mut rest) = (first, out);
        while !rest.is_empty() {
            let (panel, lane) = (row / PANEL, row % PANEL);
            let n_rows = (PANEL - lane).min(rest.len() / n_in);
            let (out, after) = rest.split_at_mut(n_rows * n_in);
            let part = Part { panel: weight.panels(panel..panel + 1), lane, n_in, out };
            match format {
                Format::Q8_0 | Format::Q5_0 => part.blocks::<S, Bytes<SCALE>>(simd),
                Format::Q5_1 | Format::Q5K => part.blocks::<S, Bytes<SCALE_AND_LEAST>>(simd),
                Format::Q6K => part.blocks::<S, Bytes<SCALES_OF_HALVES>>(simd),
                Format::Q4_0 => part.blocks::<S, Nibbles<8>>(simd),
                Format::Q4_1 => part.blocks::<S, Nibbles<0>>(simd),
                Format::Q4K => part.blocks::<S, WideNibbles>(simd),
                Format::F16 => part.halves(simd, Half::F16),
                Format::Bf16 => part.halves(simd, Half::Bf16),
            }
            (row, rest) = (row + n_rows, after);
        }
    }
}

/// Rows of one panel, from `lane` on.
struct Part<'a> {
    panel: &'a [Line],
    lane: usize,
    n_in: usize,
    out: &'a mut [f32],
}

impl Part<'_> {
    #[inline(always)]
    fn blocks<S: Integer, C: Codes>(self, simd: S) {
        let Self { panel, lane, n_in, out } = self;
        for (g, group) in panel.chunks_exact(C::LINES + C::FACTORS).enumerate() {
            let factors = C::factors(simd, &group[C::LINES..]);
            for (i, out) in out.chunks_exact_mut(n_in).enumerate() {
                let lane = lane + i;
                let numbers = C::numbers(group, lane, factors.map(|factors| factors[lane]));
                put(&numbers, &mut out[g * BLOCK..]);
            }
        }
    }

    #[inline(always)]
    fn halves<S: Integer>(self, simd: S, half: Half) {
        let Self { panel, lane, n_in, out } = self;
        for (g, lines) in panel.chunks(BLOCK / 2).enumerate() {
            let mut terms = [[0.0; PANEL]; BLOCK];
            for (line, terms) in lines.iter().zip(terms.as_chunks_mut::<2>().0) {
                for first in (0..PANEL).step_by(S::LANES) {
                    let numbers = simd.halves(half, line, first);
                    simd.store(numbers[0], &mut terms[0], first);
                    simd.store(numbers[1], &mut terms[1], first);
                }
            }
            for (i, out) in out.chunks_exact_mut(n_in).enumerate() {
                put(&terms.map(|lanes| lanes[lane + i]), &mut out[g * BLOCK..]);
            }
        }
    }
}

/// Puts a block to the front of what is left of its row, which may be shorter.
#[inline(always)]
fn put(numbers: &[f32; BLOCK], row: &mut [f32]) {
    match row.first_chunk_mut() {
        Some(whole) => *whole = *numbers,
        None => row.copy_from_slice(&numbers[..row.len()]),
    }
}

/// How a block of a row stands in a panel.
trait Codes {
    /// Lines of codes.
    const LINES: usize;
    /// Lines of factors, which follow them.
    const FACTORS: usize;

    /// The two factors of all rows.
    fn factors<S: Integer>(simd: S, lines: &[Line]) -> [[f32; PANEL]; 2];

    /// The numbers of the row in `lane`.
    fn numbers(group: &[Line], lane: usize, factors: [f32; 2]) -> [f32; BLOCK];
}

/// 4-bit codes; with a `BIAS` a code less it is multiplied by the scale, without one the least number is
/// added.
struct Nibbles<const BIAS: i32>;

impl<const BIAS: i32> Codes for Nibbles<BIAS> {
    const LINES: usize = BLOCK / 8;
    const FACTORS: usize = 1;

    #[inline(always)]
    fn factors<S: Integer>(simd: S, lines: &[Line]) -> [[f32; PANEL]; 2] {
        let mut factors = [[0.0; PANEL]; 2];
        for first in (0..PANEL).step_by(S::LANES) {
            let [scales, least] = simd.halves(Half::F16, &lines[0], first);
            simd.store(scales, &mut factors[0], first);
            simd.store(least, &mut factors[1], first);
        }
        factors
    }

    #[inline(always)]
    fn numbers(group: &[Line], lane: usize, [scale, least]: [f32; 2]) -> [f32; BLOCK] {
        nibbles(group, lane).map(|code| {
            let product = scale * (i32::from(code) - BIAS) as f32;
            if BIAS == 0 { product + least } else { product }
        })
    }
}

/// 4-bit codes with factors in `f32`, to which the least number is added.
struct WideNibbles;

impl Codes for WideNibbles {
    const LINES: usize = BLOCK / 8;
    const FACTORS: usize = 2;

    #[inline(always)]
    fn factors<S: Integer>(_: S, lines: &[Line]) -> [[f32; PANEL]; 2] {
        floats(lines)
    }

    #[inline(always)]
    fn numbers(group: &[Line], lane: usize, [scale, least]: [f32; 2]) -> [f32; BLOCK] {
        nibbles(group, lane).map(|code| scale * f32::from(code) + least)
    }
}

/// 8-bit codes with these factors.
struct Bytes<const FACTORS: u8>;

const SCALE: u8 = 0;
const SCALE_AND_LEAST: u8 = 1;
const SCALES_OF_HALVES: u8 = 2;

impl<const FACTORS: u8> Codes for Bytes<FACTORS> {
    const LINES: usize = BLOCK / 4;
    const FACTORS: usize = if FACTORS == SCALE { 1 } else { 2 };

    #[inline(always)]
    fn factors<S: Integer>(_: S, lines: &[Line]) -> [[f32; PANEL]; 2] {
        floats(lines)
    }

    #[inline(always)]
    fn numbers(group: &[Line], lane: usize, factors: [f32; 2]) -> [f32; BLOCK] {
        let mut codes = [0; BLOCK];
        for (line, codes) in group.iter().zip(codes.as_chunks_mut::<4>().0) {
            let pairs = line.0.as_chunks::<2>().0;
            let ([a, b], [c, d]) = (pairs[lane], pairs[PANEL + lane]);
            *codes = [a, b, c, d];
        }
        let mut numbers = codes.map(|code| f32::from(code as i8));
        for (term, number) in numbers.iter_mut().enumerate() {
            *number *= match FACTORS {
                SCALES_OF_HALVES => factors[2 * term / BLOCK],
                _ => factors[0],
            };
            if FACTORS == SCALE_AND_LEAST {
                *number += factors[1];
            }
        }
        numbers
    }
}

/// Lines of factors in `f32`, at most two.
#[inline(always)]
fn floats(lines: &[Line]) -> [[f32; PANEL]; 2] {
    let mut factors = [[0.0; PANEL]; 2];
    for (line, factors) in lines.iter().zip(&mut factors) {
        for (lane, factor) in factors.iter_mut().enumerate() {
            *factor = line.float(lane);
        }
    }
    factors
}

/// The 4-bit codes of the row in `lane`.
#[inline(always)]
fn nibbles(group: &[Line], lane: usize) -> [u8; BLOCK] {
    let mut codes = [0; BLOCK];
    for (line, codes) in group.iter().zip(codes.as_chunks_mut::<8>().0) {
        let word = u64::from(line.word(lane));
        *codes = (word & 0x0f0f_0f0f | (word & 0xf0f0_f0f0) << 28).to_le_bytes();
    }
    codes
}
