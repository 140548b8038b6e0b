//! x86-64 with AVX512_BF16: dot products of bfloat16 pairs.
#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::Simd;
use super::avx512::Avx512;
use super::dots::{DotKernel, Dots, pair};

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Proof that the processor has AVX512_BF16 beside what [`Avx512`] proves: [`Avx512Bf16::new`] is
/// the only way to a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512Bf16(Avx512);

impl Avx512Bf16 {
    /// The proof, where the processor has them all.
    #[inline]
    pub(super) fn new() -> Option<Self> {
        if is_x86_feature_detected!("avx512bf16") { Avx512::new().map(Self) } else { None }
    }

    /// Runs a kernel compiled for AVX-512 with AVX512_BF16.
    #[inline]
    pub(super) fn dispatch<K: DotKernel>(self, kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
        fn compiled<K: DotKernel>(dots: Avx512Bf16, kernel: K) {
            kernel.run(dots);
        }
        // SAFETY: `self` proves that the processor has every feature that `compiled` enables.
        unsafe { compiled(self, kernel) }
    }
}

impl Dots for Avx512Bf16 {
    type Simd = Avx512;
    type Left = u32;
    const LEFT_WORDS: usize = 1;

    #[inline(always)]
    fn simd(self) -> Avx512 {
        self.0
    }

    #[inline(always)]
    fn lefts_mut(words: &mut [u32]) -> &mut [u32] {
        words
    }

    #[inline(always)]
    fn left(former: f32, latter: f32) -> u32 {
        pair(former, latter)
    }

    #[inline(always)]
    fn prefetch<T>(numbers: &[T]) {
        for line in numbers.chunks((LINE / size_of::<T>()).max(1)) {
            // SAFETY: a prefetch reads nothing and faults nowhere.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }

    #[inline(always)]
    fn add<const R: usize, const C: usize>(
        self,
        left: [u32; R],
        right: &[<Avx512 as Simd>::Words; C],
        sums: &mut [[__m512; C]; R],
    ) {
        // SAFETY: `self` proves that the processor has AVX-512 F and AVX512_BF16; the blocks hold
        // the sixteen words that are read, and the instruction asks for no alignment. `__m512i`
        // and `__m512bh` are 64 bytes each, of which every pattern is a value.
        unsafe {
            let mut pairs = [_mm512_setzero_si512(); C];
            for c in 0..C {
                pairs[c] = _mm512_loadu_si512(right[c].as_ptr().cast());
            }
            for r in 0..R {
                let left = _mm512_set1_epi32(left[r].cast_signed());
                for c in 0..C {
                    sums[r][c] = _mm512_dpbf16_ps(
                        sums[r][c],
                        transmute::<__m512i, __m512bh>(left),
                        transmute::<__m512i, __m512bh>(pairs[c]),
                    );
                }
            }
        }
    }
}
