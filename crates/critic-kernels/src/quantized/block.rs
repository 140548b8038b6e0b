//! Blocks of 32 weights: quantised from `f32`, read from a GGUF file, put into a panel.

use half::f16;

use super::Format;
use super::format::{Layout, SUPER_BLOCK};
use crate::simd::integer::{BLOCK, Line, PANEL};

/// The content of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    /// The scale, and what code 0 stands for, where codes are not negative; of [`Format::Q6K`] the scales of
    /// both halves.
    factors: [f32; 2],
    /// `−128..=127`, or as few of them as the format has.
    codes: [i8; BLOCK],
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

    /// A block of what its format keeps; `least` counts where the format has one.
    fn new(format: Format, scale: f16, least: f16, codes: [i8; BLOCK]) -> Self {
        let scale = scale.to_f32();
        let least = match format {
            Format::Q4_0 => f16::from_f32(-8.0 * scale).to_f32(),
            Format::Q4_1 | Format::Q5_1 => least.to_f32(),
            _ => 0.0,
        };
        Self { factors: [scale, least], codes }
    }

    /// Reads block `i` of the [`Format::block_len`] numbers that `bytes` hold in a GGUF file.
    pub(super) fn from_gguf(format: Format, bytes: &[u8], i: usize) -> Self {
        let half = |at: usize| f16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let of_nibbles = |from: usize, offset: i8| {
            let fifth = |term: usize| match format {
                Format::Q5_0 | Format::Q5_1 => bit(&bytes[from - 4..], term) << 4,
                _ => 0,
            };
            std::array::from_fn(|term| {
                let nibble = bytes[from + term % 16] >> (term / 16 * 4) & 15;
                (nibble | fifth(term)) as i8 - offset
            })
        };
        match format {
            Format::Q8_0 => {
                let codes = std::array::from_fn(|term| bytes[2 + term] as i8);
                Self::new(format, half(0), f16::ZERO, codes)
            }
            Format::Q4_0 => Self::new(format, half(0), f16::ZERO, of_nibbles(2, 0)),
            Format::Q4_1 => Self::new(format, half(0), half(2), of_nibbles(4, 0)),
            Format::Q5_0 => Self::new(format, half(0), f16::ZERO, of_nibbles(6, 16)),
            Format::Q5_1 => Self::new(format, half(0), half(2), of_nibbles(8, 0)),
            Format::Q4K | Format::Q5K => {
                let (scale, least) = packed_factors(&bytes[4..16], i);
                let factors = [half(0).to_f32() * scale, -(half(2).to_f32() * least)];
                let low = &bytes[bytes.len() - SUPER_BLOCK / 2 + i / 2 * BLOCK..];
                let fifth = |term: usize| match format {
                    Format::Q5K => (bytes[16 + term] >> i & 1) << 4,
                    _ => 0,
                };
                let code = |term: usize| (low[term] >> (i % 2 * 4) & 15 | fifth(term)) as i8;
                Self { factors, codes: std::array::from_fn(code) }
            }
            Format::Q6K => {
                let (part, j) = (i / 4, i % 4);
                let low = &bytes[part * 64 + j % 2 * BLOCK..];
                let high = &bytes[128 + part * BLOCK..];
                let scale = half(208).to_f32();
                let factors = [0, 1].map(|half| scale * f32::from(bytes[192 + 2 * i + half] as i8));
                let code = |term: usize| {
                    let low = low[term] >> (j / 2 * 4) & 15;
                    (low | (high[term] >> (2 * j) & 3) << 4) as i8 - 32
                };
                Self { factors, codes: std::array::from_fn(code) }
            }
            Format::F16 | Format::Bf16 => Self { factors: [0.0; 2], codes: [0; BLOCK] },
        }
    }

    /// Whether every number that the block stands for is finite.
    pub(super) fn is_finite(&self) -> bool {
        self.factors.iter().all(|factor| factor.is_finite())
    }

    /// Puts the block into its lane of a group of zeroed lines.
    pub(super) fn put(&self, format: Format, group: &mut [Line], lane: usize) {
        let layout = format.layout();
        let nibbles = matches!(layout, Layout::Nibbles | Layout::WideNibbles);
        for (term, code) in self.codes.iter().enumerate() {
            let (line, byte, shift) = place(nibbles, term, lane);
            let mask = if nibbles { 15 } else { 255 };
            group[line].0[byte] |= (*code as u8 & mask) << shift;
        }
        let factors = &mut group[format.code_lines()..];
        if layout == Layout::Nibbles {
            let [scale, least] = self.factors.map(|x| f16::from_f32(x).to_bits());
            factors[0].set_word(lane, u32::from(scale) | u32::from(least) << 16);
        } else {
            for (line, factor) in factors.iter_mut().zip(self.factors) {
                line.set_word(lane, factor.to_bits());
            }
        }
    }
}

/// Where the code of a term stands: line, byte and bit.
fn place(nibbles: bool, term: usize, lane: usize) -> (usize, usize, usize) {
    if nibbles {
        (term / 8, 4 * lane + term % 4, term % 8 / 4 * 4)
    } else {
        let pair = term % 4 / 2;
        (term / 4, 2 * PANEL * pair + 2 * lane + term % 2, 0)
    }
}

/// A bit of some bytes, the lowest of the first one first.
fn bit(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 8] >> (i % 8) & 1
}

/// The 6-bit codes of the scale and of the least number of block `i` of eight, out of twelve bytes
/// (`get_scale_min_k4` of `ggml-quants.c`).
fn packed_factors(bytes: &[u8], i: usize) -> (f32, f32) {
    let (scale, least) = if i < 4 {
        (bytes[i] & 63, bytes[i + 4] & 63)
    } else {
        let upper = |byte: u8| byte >> 6 << 4;
        (bytes[i + 4] & 15 | upper(bytes[i - 4]), bytes[i + 4] >> 4 | upper(bytes[i]))
    };
    (f32::from(scale), f32::from(least))
}
