//! x86-64 with AVX2 and FMA: eight lanes a vector, two vectors a line.
#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::arch::x86_64::*;

use super::super::avx2::Avx2;
use super::{Half, Integer, IntegerKernel, Line, PANEL};

/// Lanes of a vector.
const LANES: usize = 8;

/// Runs a kernel compiled for AVX2 and FMA.
#[inline]
pub(super) fn dispatch<K: IntegerKernel>(simd: Avx2, kernel: K) {
    #[target_feature(enable = "avx2,fma")]
    fn compiled<K: IntegerKernel>(simd: Avx2, kernel: K) {
        kernel.run(simd);
    }
    // SAFETY: `simd` proves that the processor has AVX2 and FMA.
    unsafe { compiled(simd, kernel) }
}

/// The eight lanes of a line from `first` on.
#[inline(always)]
fn part(line: &Line, first: usize) -> &[u8; 4 * LANES] {
    &line.0.as_chunks().0[first / LANES]
}

impl Integer for Avx2 {
    const LANES: usize = LANES;
    const BYTE_STEP: usize = 2;
    type Words = __m256i;
    type Floats = __m256;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::Floats {
        // SAFETY: `self` proves that the processor has AVX.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    fn splat_word(self, x: i32) -> Self::Words {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { _mm256_set1_epi32(x) }
    }

    #[inline(always)]
    fn load(self, line: &Line, first: usize) -> Self::Floats {
        // SAFETY: `self` proves that the processor has AVX; the part holds the 32 bytes that are
        // read, and the instruction asks for no alignment.
        unsafe { _mm256_loadu_ps(part(line, first).as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, x: Self::Floats, to: &mut [f32; PANEL], first: usize) {
        let to: &mut [f32; LANES] = &mut to.as_chunks_mut().0[first / LANES];
        // SAFETY: `self` proves that the processor has AVX; `to` has room for the eight numbers
        // that are written, and the instruction asks for no alignment.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` proves that the processor has AVX.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: `self` proves that the processor has FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn add_product(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        self.mul_add(a, b, c)
    }

    #[inline(always)]
    fn to_floats(self, x: Self::Words) -> Self::Floats {
        // SAFETY: `self` proves that the processor has AVX.
        unsafe { _mm256_cvtepi32_ps(x) }
    }

    #[inline(always)]
    fn nibbles(self, line: &Line, first: usize) -> [Self::Words; 2] {
        // SAFETY: `self` proves that the processor has AVX2; the part holds the 32 bytes that are
        // read, and the instruction asks for no alignment.
        unsafe {
            let bytes = _mm256_loadu_si256(part(line, first).as_ptr().cast());
            let mask = _mm256_set1_epi8(15);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask);
            [_mm256_and_si256(bytes, mask), high]
        }
    }

    // A 16-bit lane takes two products a step, 2 · 15 · 127 at most: eight steps stay below 2¹⁵.
    #[inline(always)]
    fn add_nibbles(self, sums: Self::Words, nibbles: Self::Words, x: Self::Words) -> Self::Words {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { _mm256_add_epi16(sums, _mm256_maddubs_epi16(nibbles, x)) }
    }

    #[inline(always)]
    fn total_nibbles(self, sums: Self::Words) -> Self::Words {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { _mm256_madd_epi16(sums, _mm256_set1_epi16(1)) }
    }

    #[inline(always)]
    fn start_bytes(self, _sum: i32) -> Self::Words {
        self.splat_word(0)
    }

    #[inline(always)]
    fn bytes(self, line: &Line, step: usize, first: usize) -> Self::Words {
        let half: &[u8; 2 * PANEL] = &line.0.as_chunks().0[step];
        let pairs: &[u8; 2 * LANES] = &half.as_chunks().0[first / LANES];
        // SAFETY: `self` proves that the processor has AVX2; `pairs` holds the 16 bytes that are
        // read, and the instruction asks for no alignment.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(pairs.as_ptr().cast())) }
    }

    #[inline(always)]
    fn add_bytes(self, sums: Self::Words, weights: Self::Words, x: Self::Words) -> Self::Words {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(weights, x)) }
    }

    #[inline(always)]
    fn halves(self, format: Half, line: &Line, first: usize) -> [Self::Floats; 2] {
        // SAFETY: `self` proves that the processor has AVX2; the part holds the 32 bytes that are
        // read, and the instruction asks for no alignment.
        unsafe {
            let odd = _mm256_loadu_si256(part(line, first).as_ptr().cast());
            let even = _mm256_slli_epi32::<16>(odd);
            match format {
                Half::Bf16 => {
                    let odd = _mm256_and_si256(odd, _mm256_set1_epi32(!0xffff));
                    [_mm256_castsi256_ps(even), _mm256_castsi256_ps(odd)]
                }
                Half::F16 => [finite_half(even), finite_half(odd)],
            }
        }
    }
}

/// The numbers whose binary16 stand in the upper halves of the lanes, as the portable path has it.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn finite_half(bits: __m256i) -> __m256 {
    // SAFETY: the caller's.
    unsafe {
        let mask = _mm256_set1_epi32(0x8fff_e000_u32 as i32);
        let placed = _mm256_and_si256(_mm256_srai_epi32::<3>(bits), mask);
        _mm256_mul_ps(_mm256_castsi256_ps(placed), _mm256_set1_ps(f32::from_bits(0x7780_0000)))
    }
}
