//! How the numbers of a weight are held.

use super::activations::Precision;
use crate::simd::integer::{BLOCK, Half};

/// Numbers of a super-block of the K formats.
pub(super) const SUPER_BLOCK: usize = 256;

/// How the numbers of a weight are held, under the names of GGUF.
///
/// Scales and least numbers of the K formats are themselves products of a number of half precision with a
/// code of a few bits; here they stand multiplied out, in `f32` and exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Blocks of 32: 8-bit codes `c` and a scale, `w = scale · c`.
    Q8_0,
    /// Blocks of 32: 4-bit codes `c` and a scale, `w = scale · (c − 8)`.
    Q4_0,
    /// Blocks of 32: 4-bit codes `c`, a scale and a least number, `w = scale · c + least`.
    Q4_1,
    /// Blocks of 32: 5-bit codes `c` and a scale, `w = scale · (c − 16)`.
    Q5_0,
    /// Blocks of 32: 5-bit codes `c`, a scale and a least number, `w = scale · c + least`.
    Q5_1,
    /// Blocks of 32 in super-blocks of 256: 4-bit codes, otherwise as `Q5_1`.
    Q4K,
    /// Blocks of 32 in super-blocks of 256: 5-bit codes, otherwise as `Q5_1`.
    Q5K,
    /// Blocks of 16 in super-blocks of 256: 6-bit codes `c` and a scale, `w = scale · (c − 32)`.
    Q6K,
    /// IEEE binary16.
    F16,
    /// The upper half of an `f32`.
    Bf16,
}

/// How the codes of a group stand in a panel, and what follows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// 4-bit codes, a line of scales and least numbers of half precision.
    Nibbles,
    /// 4-bit codes, a line of scales and one of least numbers.
    WideNibbles,
    /// 8-bit codes, a line of scales.
    Bytes,
    /// 8-bit codes, a line of scales and one of least numbers.
    BytesAndLeast,
    /// 8-bit codes, a line of scales for each half of the terms.
    BytesOfHalves,
    /// Two numbers of half precision.
    Halves,
}

impl Format {
    /// Numbers that a GGUF file keeps together; the width of a row is a multiple of it.
    pub fn block_len(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => BLOCK,
            Self::Q4K | Self::Q5K | Self::Q6K => SUPER_BLOCK,
            Self::F16 | Self::Bf16 => 1,
        }
    }

    /// Bytes of a block in a GGUF file.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// How the activations that meet such a weight are held.
    pub fn precision(self) -> Precision {
        match self.layout() {
            Layout::Halves => Precision::F32,
            _ => Precision::Int8,
        }
    }

    /// The name in GGUF.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// Whether there is a way from `f32` to it.
    pub(super) fn is_rounded_to(self) -> bool {
        matches!(self, Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::F16 | Self::Bf16)
    }

    /// The half-precision format, where it is one.
    pub(super) fn half(self) -> Option<Half> {
        match self {
            Self::F16 => Some(Half::F16),
            Self::Bf16 => Some(Half::Bf16),
            _ => None,
        }
    }

    pub(super) fn layout(self) -> Layout {
        match self {
            Self::Q4_0 | Self::Q4_1 => Layout::Nibbles,
            Self::Q4K => Layout::WideNibbles,
            Self::Q8_0 | Self::Q5_0 => Layout::Bytes,
            Self::Q5_1 | Self::Q5K => Layout::BytesAndLeast,
            Self::Q6K => Layout::BytesOfHalves,
            Self::F16 | Self::Bf16 => Layout::Halves,
        }
    }

    /// Terms whose lines stand together in a panel.
    pub(super) fn group_len(self) -> usize {
        match self.layout() {
            Layout::Halves => 2,
            _ => BLOCK,
        }
    }

    /// Lines of codes of a group.
    pub(super) fn code_lines(self) -> usize {
        match self.layout() {
            Layout::Nibbles | Layout::WideNibbles => BLOCK / 8,
            Layout::Bytes | Layout::BytesAndLeast | Layout::BytesOfHalves => BLOCK / 4,
            Layout::Halves => 1,
        }
    }

    /// Lines of a group: of its codes, and what follows them.
    pub(super) fn group_lines(self) -> usize {
        let factors = match self.layout() {
            Layout::Halves => 0,
            Layout::Nibbles | Layout::Bytes => 1,
            Layout::WideNibbles | Layout::BytesAndLeast | Layout::BytesOfHalves => 2,
        };
        self.code_lines() + factors
    }
}
