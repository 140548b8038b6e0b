//! Blocks of 32 weights: quantised from `f32`, read from a GGUF file, put into a panel.

use half::f16;

use super::Format;
use crate::simd::integer::{BLOCK, Line, PANEL};

/// The content of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    /// A number of half precision.
    pub(super) scale: f32,
    /// A number of half precision: what code 0 stands for, where codes are not negative.
    pub(super) least: f32,
    /// `−128..=127`, or `0..=15` for 4 bits.
    pub(super) codes: [i8; BLOCK],
}

impl Block {
    /// Quantises up to 32 numbers as the reference quantiser of ggml does
    /// (`quantize_row_q8_0_ref`, `_q4_0_ref` and `_q4_1_ref` of `ggml-quants.c`).
    pub(super) fn quantized(format: Format, x: &[f32]) -> Self {
        let mut codes = [0; BLOCK];
        let (step, least) = match format {
            Format::Q4_1 => {
                let least = x.iter().copied().fold(f32::MAX, f32::min);
                let most = x.iter().copied().fold(f32::MIN, f32::max);
                ((most - least) / 15.0, least)
            }
            _ => {
                let greatest = x.iter().fold(0.0f32, |g, x| if x.abs() > g.abs() { *x } else { g });
                if format == Format::Q8_0 {
                    (greatest.abs() / 127.0, 0.0)
                } else {
                    (greatest / -8.0, 0.0)
                }
            }
        };
        let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
        for (code, x) in codes.iter_mut().zip(x) {
            *code = match format {
                Format::Q8_0 => (x * inverse).round() as i8,
                Format::Q4_0 => ((x * inverse + 8.5) as i8).min(15),
                _ => (((x - least) * inverse + 0.5) as i8).min(15),
            };
        }
        Self::new(format, f16::from_f32(step), f16::from_f32(least), codes)
    }

    /// A block of what its format keeps; `least` counts for [`Format::Q4_1`] alone.
    fn new(format: Format, scale: f16, least: f16, codes: [i8; BLOCK]) -> Self {
        let scale = scale.to_f32();
        let least = match format {
            Format::Q4_0 => f16::from_f32(-8.0 * scale).to_f32(),
            Format::Q4_1 => least.to_f32(),
            _ => 0.0,
        };
        Self { scale, least, codes }
    }

    /// Reads the block that `bytes` hold in a GGUF file.
    pub(super) fn from_gguf(format: Format, bytes: &[u8]) -> Self {
        let half = |at: usize| f16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let mut codes = [0; BLOCK];
        let from = if format == Format::Q4_1 { 4 } else { 2 };
        if format == Format::Q8_0 {
            codes.iter_mut().zip(&bytes[from..]).for_each(|(code, byte)| *code = *byte as i8);
        } else {
            let (low, high) = codes.split_at_mut(BLOCK / 2);
            for ((low, high), byte) in low.iter_mut().zip(high).zip(&bytes[from..]) {
                *low = (byte & 15) as i8;
                *high = (byte >> 4) as i8;
            }
        }
        Self::new(format, half(0), half(2), codes)
    }

    /// Whether every number that the block stands for is finite.
    pub(super) fn is_finite(&self) -> bool {
        self.scale.is_finite() && self.least.is_finite()
    }

    /// Puts the block into its lane of a group of zeroed lines.
    pub(super) fn put(&self, format: Format, group: &mut [Line], lane: usize) {
        for (term, code) in self.codes.iter().enumerate() {
            let (line, byte, shift) = place(format, term, lane);
            let mask = if format == Format::Q8_0 { 255 } else { 15 };
            group[line].0[byte] |= (*code as u8 & mask) << shift;
        }
        let word = if format == Format::Q8_0 {
            self.scale.to_bits()
        } else {
            let [scale, least] = [self.scale, self.least].map(|x| f16::from_f32(x).to_bits());
            u32::from(scale) | u32::from(least) << 16
        };
        group[format.code_lines()].set_word(lane, word);
    }
}

/// Where the code of a term stands: line, byte and bit.
fn place(format: Format, term: usize, lane: usize) -> (usize, usize, usize) {
    if format == Format::Q8_0 {
        let pair = term % 4 / 2;
        (term / 4, 2 * PANEL * pair + 2 * lane + term % 2, 0)
    } else {
        (term / 8, 4 * lane + term % 4, term % 8 / 4 * 4)
    }
}
