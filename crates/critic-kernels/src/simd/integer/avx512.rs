//! x86-64 with AVX-512, and with its dot products (VNNI) where `VNNI` is set: a line a vector.
#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::arch::x86_64::*;

use super::{Half, Integer, IntegerKernel, Line, PANEL};

/// Proof that the processor has AVX-512 F, BW, DQ, VL, AVX2 with FMA and, where `VNNI` is set,
/// VNNI: [`Wide::new`] is the only way to a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wide<const VNNI: bool>(());

impl<const VNNI: bool> Wide<VNNI> {
    /// The proof, where the processor has them all.
    #[inline]
    pub(super) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && (!VNNI || is_x86_feature_detected!("avx512vnni"));
        found.then_some(Self(()))
    }

    /// Runs a kernel compiled for AVX-512.
    #[inline]
    pub(super) fn dispatch<K: IntegerKernel>(self, kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn compiled<S: Integer, K: IntegerKernel>(simd: S, kernel: K) {
            kernel.run(simd);
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
        fn compiled_with_vnni<S: Integer, K: IntegerKernel>(simd: S, kernel: K) {
            kernel.run(simd);
        }
        // SAFETY: `self` proves that the processor has every feature that either one enables.
        unsafe {
            if VNNI {
                compiled_with_vnni(self, kernel);
            } else {
                compiled(self, kernel);
            }
        }
    }

    /// A line in a register.
    #[inline(always)]
    fn line(self, line: &Line) -> __m512i {
        // SAFETY: `self` proves that the processor has AVX-512 F; a line holds the 64 bytes that
        // are read, and the instruction asks for no alignment.
        unsafe { _mm512_loadu_si512(line.0.as_ptr().cast()) }
    }
}

impl<const VNNI: bool> Integer for Wide<VNNI> {
    const LANES: usize = PANEL;
    const BYTE_STEP: usize = if VNNI { 4 } else { 2 };
    type Words = __m512i;
    type Floats = __m512;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::Floats {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn splat_word(self, x: i32) -> Self::Words {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_set1_epi32(x) }
    }

    #[inline(always)]
    fn load(self, line: &Line, _first: usize) -> Self::Floats {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_castsi512_ps(self.line(line)) }
    }

    #[inline(always)]
    fn store(self, x: Self::Floats, to: &mut [f32; PANEL], _first: usize) {
        // SAFETY: `self` proves that the processor has AVX-512 F; `to` has room for the sixteen
        // numbers that are written, and the instruction asks for no alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn add_product(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        self.mul_add(a, b, c)
    }

    #[inline(always)]
    fn to_floats(self, x: Self::Words) -> Self::Floats {
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe { _mm512_cvtepi32_ps(x) }
    }

    #[inline(always)]
    fn nibbles(self, line: &Line, _first: usize) -> [Self::Words; 2] {
        let bytes = self.line(line);
        // SAFETY: `self` proves that the processor has AVX-512 BW.
        unsafe {
            let mask = _mm512_set1_epi8(15);
            let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask);
            [_mm512_and_si512(bytes, mask), high]
        }
    }

    // Without VNNI in 16-bit lanes, which hold eight steps as they do on AVX2.
    #[inline(always)]
    fn add_nibbles(self, sums: Self::Words, nibbles: Self::Words, x: Self::Words) -> Self::Words {
        // SAFETY: `self` proves that the processor has AVX-512 BW and, where it is set, VNNI.
        unsafe {
            if VNNI {
                _mm512_dpbusd_epi32(sums, nibbles, x)
            } else {
                _mm512_add_epi16(sums, _mm512_maddubs_epi16(nibbles, x))
            }
        }
    }

    #[inline(always)]
    fn total_nibbles(self, sums: Self::Words) -> Self::Words {
        // SAFETY: `self` proves that the processor has AVX-512 BW.
        unsafe { if VNNI { sums } else { _mm512_madd_epi16(sums, _mm512_set1_epi16(1)) } }
    }

    // With VNNI the weights are taken as w + 128 ≥ 0.
    #[inline(always)]
    fn start_bytes(self, sum: i32) -> Self::Words {
        self.splat_word(if VNNI { -128 * sum } else { 0 })
    }

    #[inline(always)]
    fn bytes(self, line: &Line, step: usize, _first: usize) -> Self::Words {
        // SAFETY: `self` proves that the processor has AVX-512 BW; `half` holds the 32 bytes that
        // are read, and the instruction asks for no alignment.
        unsafe {
            if VNNI {
                let pairs = self.line(line);
                let quads = _mm512_permutexvar_epi16(quads_of_pairs(), pairs);
                _mm512_xor_si512(quads, _mm512_set1_epi8(-128))
            } else {
                let half: &[u8; 2 * PANEL] = &line.0.as_chunks().0[step];
                _mm512_cvtepi8_epi16(_mm256_loadu_si256(half.as_ptr().cast()))
            }
        }
    }

    #[inline(always)]
    fn add_bytes(self, sums: Self::Words, weights: Self::Words, x: Self::Words) -> Self::Words {
        // SAFETY: `self` proves that the processor has AVX-512 BW and, where it is set, VNNI.
        unsafe {
            if VNNI {
                _mm512_dpbusd_epi32(sums, weights, x)
            } else {
                _mm512_add_epi32(sums, _mm512_madd_epi16(weights, x))
            }
        }
    }

    #[inline(always)]
    fn halves(self, format: Half, line: &Line, _first: usize) -> [Self::Floats; 2] {
        let odd = self.line(line);
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe {
            let even = _mm512_slli_epi32::<16>(odd);
            match format {
                Half::Bf16 => {
                    let odd = _mm512_and_si512(odd, _mm512_set1_epi32(!0xffff));
                    [_mm512_castsi512_ps(even), _mm512_castsi512_ps(odd)]
                }
                Half::F16 => [finite_half(even), finite_half(odd)],
            }
        }
    }
}

/// The place of each 16-bit half of a line of four bytes an output, in a line of bytes as
/// [`Integer::bytes`] has it: the pairs of all outputs, then the other pairs.
#[inline(always)]
fn quads_of_pairs() -> __m512i {
    const PLACES: [u16; 2 * PANEL] = {
        let mut places = [0; 2 * PANEL];
        let mut i = 0;
        while i < 2 * PANEL {
            places[i] = (i / 2 + i % 2 * PANEL) as u16;
            i += 1;
        }
        places
    };
    // SAFETY: both are 64 bytes without invalid values.
    unsafe { std::mem::transmute(PLACES) }
}

/// The numbers whose binary16 stand in the upper halves of the lanes, as the portable path has it.
///
/// # Safety
/// The processor has AVX-512 F.
#[inline(always)]
unsafe fn finite_half(bits: __m512i) -> __m512 {
    // SAFETY: the caller's.
    unsafe {
        let mask = _mm512_set1_epi32(0x8fff_e000_u32 as i32);
        let placed = _mm512_and_si512(_mm512_srai_epi32::<3>(bits), mask);
        _mm512_mul_ps(_mm512_castsi512_ps(placed), _mm512_set1_ps(f32::from_bits(0x7780_0000)))
    }
}
