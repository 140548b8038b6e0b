//! x86-64 with AVX2 and FMA: eight numbers a vector.
#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::arch::x86_64::*;

use super::{Kernel, Simd};

/// Numbers in a vector.
const LANES: usize = 8;

/// Proof that the processor has AVX2 and FMA: [`Avx2::new`] is the only way to a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, where the processor has both.
    #[inline]
    pub(crate) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    /// Runs a kernel compiled for AVX2 and FMA.
    #[inline]
    pub(crate) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { compiled(self, kernel) }
    }
}

impl Simd for Avx2 {
    type Block = [f32; LANES];
    type Vector = __m256;
    const FUSED: bool = true;
    const WIDE_TILE: bool = false;
    type Words = [u32; LANES];
    const PANEL_BLOCKS: usize = 2;
    const PANEL: usize = 2 * LANES;

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
        // SAFETY: `self` proves that the processor has AVX.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, x: &Self::Block) -> Self::Vector {
        // SAFETY: `self` proves that the processor has AVX; the block holds the eight numbers
        // that are read, and the instruction asks for no alignment.
        unsafe { _mm256_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, x: Self::Vector, to: &mut Self::Block) {
        // SAFETY: `self` proves that the processor has AVX; the block has room for the eight
        // numbers that are written, and the instruction asks for no alignment.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: `self` proves that the processor has AVX.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: `self` proves that the processor has AVX.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: `self` proves that the processor has FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn sums(self, [a, b, c, d]: [Self::Vector; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        // SAFETY: `self` proves that the processor has AVX; `sums` has room for the four numbers
        // that are written.
        unsafe {
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
        // SAFETY: `self` proves that the processor has AVX2; the block holds the eight words that
        // are read, and the instruction asks for no alignment.
        unsafe {
            let words = _mm256_loadu_si256(x.as_ptr().cast());
            _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(-0x1_0000)))
        }
    }

    #[inline(always)]
    fn low(self, x: &Self::Words) -> Self::Vector {
        // SAFETY: as for `high`.
        unsafe {
            let words = _mm256_loadu_si256(x.as_ptr().cast());
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words))
        }
    }
}
