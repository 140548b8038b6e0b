//! How the numbers of a weight are held.

use super::activations::Precision;
use crate::simd::integer::{BLOCK, Half};

/// How the numbers of a weight are held, under the names of GGUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Blocks of 32: 8-bit codes `c` and a scale, `w = scale · c`.
    Q8_0,
    /// Blocks of 32: 4-bit codes `c` and a scale, `w = scale · (c − 8)`.
    Q4_0,
    /// Blocks of 32: 4-bit codes `c`, a scale and a least number, `w = scale · c + least`.
    Q4_1,
    /// IEEE binary16.
    F16,
    /// The upper half of an `f32`.
    Bf16,
}

impl Format {
    /// Numbers that a GGUF file keeps together; the width of a row is a multiple of it.
    pub fn block_len(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 => BLOCK,
            Self::F16 | Self::Bf16 => 1,
        }
    }

    /// Bytes of a block in a GGUF file.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// How the activations that meet such a weight are held.
    pub fn precision(self) -> Precision {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 => Precision::Int8,
            Self::F16 | Self::Bf16 => Precision::F32,
        }
    }

    /// The name in GGUF.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// The half-precision format, where it is one.
    pub(super) fn half(self) -> Option<Half> {
        match self {
            Self::F16 => Some(Half::F16),
            Self::Bf16 => Some(Half::Bf16),
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 => None,
        }
    }

    /// Terms whose lines stand together in a panel.
    pub(super) fn group_len(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 => BLOCK,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Lines of codes of a group.
    pub(super) fn code_lines(self) -> usize {
        match self {
            Self::Q8_0 => BLOCK / 4,
            Self::Q4_0 | Self::Q4_1 => BLOCK / 8,
            Self::F16 | Self::Bf16 => 1,
        }
    }

    /// Lines of a group: of its codes, and one of its scales and least numbers.
    pub(super) fn group_lines(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 => self.code_lines() + 1,
            Self::F16 | Self::Bf16 => 1,
        }
    }
}
