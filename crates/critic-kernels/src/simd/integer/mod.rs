//! Products of small integers, and of half-precision numbers, sixteen outputs side by side.
//!
//! A [`Line`] holds 32 bits for each of sixteen outputs: eight 4-bit codes, four 8-bit codes in two
//! halves, two half-precision numbers, or one `f32`. Sums of integers are exact and the steps in
//! `f32` are the same everywhere, so that every instruction set gives the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
use crate::isa::{self, Isa};

/// Outputs side by side.
pub(crate) const PANEL: usize = 16;
/// Terms that share a scale.
pub(crate) const BLOCK: usize = 32;

/// A cache line: 32 bits for each output of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 4 * PANEL]);

impl Line {
    /// All bits zero.
    pub(crate) const ZERO: Self = Self([0; 4 * PANEL]);

    /// The `f32` of an output.
    #[inline(always)]
    pub(crate) fn float(&self, lane: usize) -> f32 {
        f32::from_bits(self.word(lane))
    }

    /// The 32 bits of an output.
    #[inline(always)]
    pub(crate) fn word(&self, lane: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[4 * lane..4 * lane + 4]);
        u32::from_le_bytes(bytes)
    }

    /// Replaces the 32 bits of an output.
    pub(crate) fn set_word(&mut self, lane: usize, word: u32) {
        self.0[4 * lane..4 * lane + 4].copy_from_slice(&word.to_le_bytes());
    }
}

/// A block of a row of activations as 8-bit integers.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Quads {
    /// Four successive codes a word, the first in the lowest byte.
    pub(crate) codes: [i32; BLOCK / 4],
    /// What a code is multiplied by.
    pub(crate) scale: f32,
    /// `scale` times the sum of the codes.
    pub(crate) scaled_sum: f32,
    /// The sums of the codes of both halves.
    pub(crate) sums: [i32; 2],
}

/// The same block, widened to 16 bits.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Pairs {
    /// Two successive codes a word, the first in the lower half.
    pub(crate) codes: [i32; BLOCK / 2],
    /// What a code is multiplied by.
    pub(crate) scale: f32,
    /// `scale` times the sum of the codes.
    pub(crate) scaled_sum: f32,
}

/// Half-precision formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// IEEE binary16.
    F16,
    /// The upper half of an `f32`.
    Bf16,
}

/// The operations of an instruction set. A value of the type proves that the processor has it.
///
/// A vector is the part of a line that begins with output `first` and is `LANES` wide.
pub(crate) trait Integer: Copy {
    /// 32-bit lanes of a vector: 8 or 16.
    const LANES: usize;
    /// Terms that [`Self::add_bytes`] takes in a step: 2 from [`Pairs`] or 4 from [`Quads`].
    const BYTE_STEP: usize;
    /// `LANES` integers.
    type Words: Copy;
    /// `LANES` numbers.
    type Floats: Copy;

    fn splat(self, x: f32) -> Self::Floats;
    fn splat_word(self, x: i32) -> Self::Words;
    fn load(self, line: &Line, first: usize) -> Self::Floats;
    fn store(self, x: Self::Floats, to: &mut [f32; PANEL], first: usize);
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a · b + c`, rounded once.
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// `a · b + c`, rounded once where the processor does so in one instruction.
    fn add_product(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// Whole numbers, exactly where they are less than 2²⁴.
    fn to_floats(self, x: Self::Words) -> Self::Floats;

    /// The nibbles of a line: of four terms in the low halves of the bytes, of four in the high.
    fn nibbles(self, line: &Line, first: usize) -> [Self::Words; 2];
    /// Adds the products of nibbles with the four codes of a word of [`Quads`], at most eight times.
    fn add_nibbles(self, sums: Self::Words, nibbles: Self::Words, x: Self::Words) -> Self::Words;
    /// The sums of a block, of sums that began at zero.
    fn total_nibbles(self, sums: Self::Words) -> Self::Words;

    /// Sums of bytes times codes, of codes whose sum is `sum`.
    fn start_bytes(self, sum: i32) -> Self::Words;
    /// The weights of a step; a line holds terms 0 and 1 of all outputs, then terms 2 and 3.
    fn bytes(self, line: &Line, step: usize, first: usize) -> Self::Words;
    /// Adds the products with the codes of a step.
    fn add_bytes(self, sums: Self::Words, weights: Self::Words, x: Self::Words) -> Self::Words;

    /// Two half-precision numbers of each output; they are finite.
    fn halves(self, format: Half, line: &Line, first: usize) -> [Self::Floats; 2];
}

/// A piece of work that is compiled once for every instruction set.
pub(crate) trait IntegerKernel {
    /// Does the work; implementations are `#[inline(always)]`.
    fn run<S: Integer>(self, simd: S);
}

/// Runs a kernel on the active instruction set.
#[inline]
pub(crate) fn dispatch<K: IntegerKernel>(kernel: K) {
    dispatch_on(isa::active(), true, kernel);
}

/// Runs a kernel on `isa`, or on the portable path where the processor does not have it; with the
/// dot products of AVX-512 VNNI where it has them and `vnni` is set.
#[inline]
pub(crate) fn dispatch_on<K: IntegerKernel>(isa: Isa, vnni: bool, kernel: K) {
    #[cfg(target_arch = "x86_64")]
    match isa.min(isa::best()) {
        Isa::Avx512 | Isa::Avx512Bf16 | Isa::AmxBf16 => {
            if vnni && let Some(simd) = avx512::Wide::<true>::new() {
                return simd.dispatch(kernel);
            }
            if let Some(simd) = avx512::Wide::<false>::new() {
                return simd.dispatch(kernel);
            }
        }
        Isa::Avx2 => {
            if let Some(simd) = Avx2::new() {
                return avx2::dispatch(simd, kernel);
            }
        }
        Isa::Portable => {}
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (isa, vnni);
    kernel.run(super::portable::Portable);
}
