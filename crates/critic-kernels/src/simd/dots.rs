//! Dot products of bfloat16 pairs, by the processor's instruction or widened in registers.
//!
//! A word holds two neighbours along the summed dimension, the former in its low half.

use super::{Kernel, Simd, dispatch_on};
use crate::isa::Isa;

/// Columns that are paired at a time.
pub(crate) const PAIRED: usize = 16;

/// The operations of a bfloat16 product.
pub(crate) trait Dots: Copy {
    /// Those on the `f32` sums.
    type Simd: Simd;
    /// A pair of the left operand, in the form that is repeated in all lanes.
    type Left: Copy;
    /// Words of a [`Self::Left`].
    const LEFT_WORDS: usize;

    /// The operations on sums.
    fn simd(self) -> Self::Simd;
    /// A slice of words as pairs of the left operand.
    fn lefts_mut(words: &mut [u32]) -> &mut [Self::Left];
    /// A pair of the left operand, rounded to bfloat16.
    fn left(former: f32, latter: f32) -> Self::Left;
    /// Pairs of neighbours of a row of the left operand; the last has a zero where `x` ends before it.
    #[inline(always)]
    fn lefts(self, x: &[f32], to: &mut [Self::Left]) {
        let (whole, rest) = x.as_chunks::<2>();
        for (to, x) in to.iter_mut().zip(whole) {
            *to = Self::left(x[0], x[1]);
        }
        if whole.len() < to.len() {
            to[whole.len()..].fill(Self::left(rest.first().copied().unwrap_or(0.0), 0.0));
        }
    }
    /// Words of pairs of two rows of the right operand, of which the latter may be none.
    #[inline(always)]
    fn interleave(self, former: &[f32], latter: &[f32], words: &mut [u32]) {
        if latter.is_empty() {
            return words.iter_mut().zip(former).for_each(|(to, former)| *to = pair(*former, 0.0));
        }
        for ((to, former), latter) in words.iter_mut().zip(former).zip(latter) {
            *to = pair(*former, *latter);
        }
    }
    /// Words of up to [`PAIRED`] pairs of neighbours of as many columns of the right operand, from a pair's
    /// words to the next `width`.
    #[inline(always)]
    fn transpose(self, columns: &[&[f32]], words: &mut [u32], width: usize) {
        for (at, column) in columns.iter().enumerate() {
            let mut pairs = [0; PAIRED];
            let (whole, rest) = column.as_chunks::<2>();
            for (to, x) in pairs.iter_mut().zip(whole) {
                *to = pair(x[0], x[1]);
            }
            if let [last] = rest {
                pairs[whole.len()] = pair(*last, 0.0);
            }
            for (words, pair) in words.chunks_mut(width).zip(pairs) {
                words[at] = pair;
            }
        }
    }
    /// Asks for the numbers to be brought into the first-level cache.
    #[inline(always)]
    fn prefetch<T>(_: &[T]) {}
    /// `sums[r][c] += left[r] · right[c]`, the latter's term first.
    fn add<const R: usize, const C: usize>(
        self,
        left: [Self::Left; R],
        right: &[<Self::Simd as Simd>::Words; C],
        sums: &mut [[<Self::Simd as Simd>::Vector; C]; R],
    );
}

/// A piece of work on bfloat16 pairs, compiled once for every instruction set.
pub(crate) trait DotKernel {
    /// Does the work; implementations are `#[inline(always)]`.
    fn run<D: Dots>(self, dots: D);
}

/// Runs a kernel on `isa`, or on the best that the processor has below it.
#[inline]
pub(crate) fn dispatch_dots<K: DotKernel>(isa: Isa, kernel: K) {
    #[cfg(target_arch = "x86_64")]
    if isa >= Isa::Avx512Bf16
        && let Some(dots) = super::avx512bf16::Avx512Bf16::new()
    {
        return dots.dispatch(kernel);
    }
    dispatch_on(isa, OnSimd(kernel));
}

/// A kernel whose pairs are widened.
struct OnSimd<K>(K);

impl<K: DotKernel> Kernel for OnSimd<K> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.0.run(Widened(simd));
    }
}

/// Pairs are widened to two vectors of `f32`.
#[derive(Debug, Clone, Copy)]
struct Widened<S>(S);

impl<S: Simd> Dots for Widened<S> {
    type Simd = S;
    /// The former and the latter as bits of `f32`.
    type Left = [u32; 2];
    const LEFT_WORDS: usize = 2;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn lefts_mut(words: &mut [u32]) -> &mut [Self::Left] {
        words.as_chunks_mut().0
    }

    #[inline(always)]
    fn left(former: f32, latter: f32) -> Self::Left {
        [round(former), round(latter)]
    }

    #[inline(always)]
    fn add<const R: usize, const C: usize>(
        self,
        left: [Self::Left; R],
        right: &[S::Words; C],
        sums: &mut [[S::Vector; C]; R],
    ) {
        let simd = self.0;
        let mut wide = [simd.splat(0.0); C];
        for c in 0..C {
            wide[c] = simd.high(&right[c]);
        }
        for r in 0..R {
            let left = simd.splat(f32::from_bits(left[r][1]));
            for c in 0..C {
                sums[r][c] = simd.mul_add(left, wide[c], sums[r][c]);
            }
        }
        for c in 0..C {
            wide[c] = simd.low(&right[c]);
        }
        for r in 0..R {
            let left = simd.splat(f32::from_bits(left[r][0]));
            for c in 0..C {
                sums[r][c] = simd.mul_add(left, wide[c], sums[r][c]);
            }
        }
    }
}

/// `x` rounded to bfloat16, to nearest with ties to even, as the bits of an `f32`; NaN stays NaN.
#[inline(always)]
pub(crate) fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let quiet = bits | 0x0040_0000;
    (if x.is_nan() { quiet } else { rounded }) & 0xffff_0000
}

/// A word of two neighbours, each rounded to bfloat16.
#[inline(always)]
pub(crate) fn pair(former: f32, latter: f32) -> u32 {
    round(latter) | (round(former) >> 16)
}
