//! Vectors of the width of the processor at hand, and the way to code that uses them.
//!
//! A [`Kernel`] is written once over [`Simd`]; [`dispatch`] runs the instance for the active
//! instruction set. Everything that a kernel calls is `#[inline(always)]`, so that it is compiled
//! with that instruction set. Plain loops over elements are left to the compiler's vectoriser.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512bf16;
mod dots;
pub(crate) mod integer;
mod math;
mod portable;
mod tile;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx512bf16::Avx512Bf16;
pub(crate) use dots::{DotKernel, Dots, PAIRED, dispatch_dots, round};
pub(crate) use math::{exp, max, sum, tanh};
pub(crate) use tile::{COLUMNS, Factors, accumulate, dot, dot_tile, row_products};

use crate::isa::{self, Isa};

/// The operations of an instruction set. A value of the type proves that the processor has it.
pub(crate) trait Simd: Copy {
    /// `[f32; LANES]` in memory.
    type Block: Copy;
    /// `LANES` numbers in registers.
    type Vector: Copy;
    /// Whether multiply and add round once.
    const FUSED: bool;
    /// Whether a tile of 6 × [`COLUMNS`] vectors fits in registers, else 3 × [`COLUMNS`] do.
    const WIDE_TILE: bool;

    /// `[u32; LANES]` in memory.
    type Words: Copy;
    /// Vectors of a panel of the right operand of a bfloat16 product.
    const PANEL_BLOCKS: usize;
    /// Columns of such a panel.
    const PANEL: usize;

    /// The whole blocks of a slice, and the rest.
    fn blocks(x: &[f32]) -> (&[Self::Block], &[f32]);
    /// The whole blocks of a slice, and the rest.
    fn blocks_mut(x: &mut [f32]) -> (&mut [Self::Block], &mut [f32]);
    /// A block that begins with `x`, which is shorter than a block, and ends in `fill`.
    fn padded(x: &[f32], fill: f32) -> Self::Block;
    /// The numbers of a block.
    fn numbers(block: &Self::Block) -> &[f32];
    fn splat(self, x: f32) -> Self::Vector;
    fn load(self, x: &Self::Block) -> Self::Vector;
    fn store(self, x: Self::Vector, to: &mut Self::Block);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b + c`.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The sum of the lanes of each, in the same order for all four.
    fn sums(self, x: [Self::Vector; 4]) -> [f32; 4];
    /// The whole blocks of a slice of words.
    fn words(words: &[u32]) -> &[Self::Words];
    /// The bfloat16 in the words' high halves.
    fn high(self, x: &Self::Words) -> Self::Vector;
    /// The bfloat16 in the words' low halves.
    fn low(self, x: &Self::Words) -> Self::Vector;
    /// `a · b + c` of numbers, rounded as [`Self::mul_add`] rounds.
    #[inline(always)]
    fn mul_add_number(self, a: f32, b: f32, c: f32) -> f32 {
        if Self::FUSED { a.mul_add(b, c) } else { a * b + c }
    }
}

/// A piece of work that is compiled once for every instruction set.
pub(crate) trait Kernel {
    /// What it gives.
    type Output;
    /// Does the work; implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs a kernel on the active instruction set.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_on(isa::active(), kernel)
}

/// Runs a kernel on `isa`, or on the portable path where the processor does not have it.
#[inline]
pub(crate) fn dispatch_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match isa.min(isa::best()) {
        Isa::Avx512 | Isa::Avx512Bf16 | Isa::AmxBf16 => {
            if let Some(simd) = avx512::Avx512::new() {
                return simd.dispatch(kernel);
            }
        }
        Isa::Avx2 => {
            if let Some(simd) = avx2::Avx2::new() {
                return simd.dispatch(kernel);
            }
        }
        Isa::Portable => {}
    }
    kernel.run(portable::Portable)
}
