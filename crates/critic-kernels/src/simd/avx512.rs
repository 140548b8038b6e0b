//! x86-64 with AVX-512: sixteen numbers a vector.
#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::arch::x86_64::*;

use super::{Kernel, Simd};

/// Numbers in a vector.
const LANES: usize = 16;

/// Proof that the processor has AVX-512 F, BW, DQ, VL and AVX2 with FMA: [`Avx512::new`] is the
/// only way to a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The proof, where the processor has them all.
    #[inline]
    pub(crate) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    /// Runs a kernel compiled for AVX-512.
    #[inline]
    pub(crate) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn compiled<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` proves that the processor has every feature that `compiled` enables.
        unsafe { compiled(self, kernel) }
    }
}

impl Simd for Avx512 {
    type Block = [f32; LANES];
    type Vector = __m512;
    const FUSED: bool = true;
    const WIDE_TILE: bool = true;
    type Words = [u32; LANES];
    const PANEL_BLOCKS: usize = 3;
    const PANEL: usize = 3 * LANES;

    #[inline(always)]
    fn blocks(x: &[f32]) -> (&[Self::Block], &[f32]) {
        x.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(x: &mut [f32]) -> (&mut [Self::Block], &mut [f32]) {
        x.as_chunks_mut()
    }

    #[inline(always)]
    fn padded(x: &[f32], fill: f32) -> Self::Block {
        let mut block = [fill; LANES];
        block.iter_mut().zip(x).for_each(|(to, x)| *to = *x);
        block
    }

    #[inline(always)]
    fn numbers(block: &Self::Block) -> &[f32] {
        block
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::Vector {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, x: &Self::Block) -> Self::Vector {
        // SAFETY: `self` proves that the processor has AVX-512 F; the block holds the sixteen
        // numbers that are read, and the instruction asks for no alignment.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, x: Self::Vector, to: &mut Self::Block) {
        // SAFETY: `self` proves that the processor has AVX-512 F; the block has room for the
        // sixteen numbers that are written, and the instruction asks for no alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn sums(self, x: [Self::Vector; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        // SAFETY: `self` proves that the processor has AVX-512 DQ and AVX2; `sums` has room for
        // the four numbers that are written.
        unsafe {
            let mut folded = [_mm256_setzero_ps(); 4];
            for i in 0..4 {
                let low = _mm512_castps512_ps256(x[i]);
                folded[i] = _mm256_add_ps(low, _mm512_extractf32x8_ps::<1>(x[i]));
            }
            let [a, b, c, d] = folded;
            let halves = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            let low = _mm256_castps256_ps128(halves);
            let high = _mm256_extractf128_ps::<1>(halves);
            _mm_storeu_ps(sums.as_mut_ptr(), _mm_add_ps(low, high));
        }
        sums
    }

    #[inline(always)]
    fn words(words: &[u32]) -> &[Self::Words] {
        words.as_chunks().0
    }

    #[inline(always)]
    fn high(self, x: &Self::Words) -> Self::Vector {
        // SAFETY: `self` proves that the processor has AVX-512 F; the block holds the sixteen
        // words that are read, and the instruction asks for no alignment.
        unsafe {
            let words = _mm512_loadu_si512(x.as_ptr().cast());
            _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(-0x1_0000)))
        }
    }

    #[inline(always)]
    fn low(self, x: &Self::Words) -> Self::Vector {
        // SAFETY: as for `high`.
        unsafe {
            let words = _mm512_loadu_si512(x.as_ptr().cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words))
        }
    }
}
