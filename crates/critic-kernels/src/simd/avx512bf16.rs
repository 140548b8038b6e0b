//! x86-64 with AVX512_BF16: dot products of bfloat16 pairs.
#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::Simd;
use super::avx512::Avx512;
use super::dots::{DotKernel, Dots, pair};

/// Numbers, and words, in a vector.
const LANES: usize = 16;
/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Proof that the processor has AVX512_BF16 beside what [`Avx512`] proves: [`Avx512Bf16::new`] is
/// the only way to a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512Bf16(Avx512);

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

/// Sixteen words of pairs in a register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words(__m512i);

impl Avx512Bf16 {
    /// The first `len` of sixteen numbers, at most as many as `x` has; zeros in place of the others.
    #[inline(always)]
    fn load(self, x: &[f32], len: usize) -> __m512 {
        let mask = (1u32 << len.min(x.len()).min(LANES)).wrapping_sub(1) as u16;
        // SAFETY: `self` proves that the processor has AVX-512 F; no number is read that the mask leaves
        // out, and the others lie in `x`.
        unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr()) }
    }

    /// Pairs of up to 32 neighbours of `x`, rounded; zeros beyond its end.
    #[inline(always)]
    pub(crate) fn neighbours(self, x: &[f32]) -> Words {
        let former = self.load(x, LANES);
        let latter = self.load(x.get(LANES..).unwrap_or(&[]), LANES);
        // SAFETY: `self` proves that the processor has AVX512_BF16. `__m512bh` and `__m512i` are 64 bytes
        // each, of which every pattern is a value.
        Words(unsafe { transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(latter, former)) })
    }

    /// Pairs of one of up to sixteen `former` numbers and one of the `latter`, rounded; zeros beyond the
    /// ends.
    #[inline(always)]
    pub(crate) fn interleaved(self, former: &[f32], latter: &[f32]) -> Words {
        const ORDER: [u16; 2 * LANES] = {
            let mut order = [0; 2 * LANES];
            let mut i = 0;
            while i < LANES {
                order[2 * i] = i as u16;
                order[2 * i + 1] = (LANES + i) as u16;
                i += 1;
            }
            order
        };
        let (former, latter) = (self.load(former, LANES), self.load(latter, LANES));
        // SAFETY: as for `neighbours`, and `self` proves AVX-512 BW; `ORDER` has the 64 bytes that are read.
        Words(unsafe {
            let pairs = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(latter, former));
            _mm512_permutexvar_epi16(_mm512_loadu_si512(ORDER.as_ptr().cast()), pairs)
        })
    }

    /// Columns for rows: word `i` of the `j`th is word `j` of the `i`th.
    #[inline(always)]
    pub(crate) fn transposed(self, rows: [Words; LANES]) -> [Words; LANES] {
        let (mut twos, mut fours) = (rows, rows);
        let mut columns = rows;
        // SAFETY: `self` proves that the processor has AVX-512 F.
        unsafe {
            for i in (0..LANES).step_by(2) {
                let [a, b] = [rows[i].0, rows[i + 1].0];
                twos[i] = Words(_mm512_unpacklo_epi32(a, b));
                twos[i + 1] = Words(_mm512_unpackhi_epi32(a, b));
            }
            for i in (0..LANES).step_by(4) {
                let [a, b, c, d] = [twos[i].0, twos[i + 1].0, twos[i + 2].0, twos[i + 3].0];
                fours[i] = Words(_mm512_unpacklo_epi64(a, c));
                fours[i + 1] = Words(_mm512_unpackhi_epi64(a, c));
                fours[i + 2] = Words(_mm512_unpacklo_epi64(b, d));
                fours[i + 3] = Words(_mm512_unpackhi_epi64(b, d));
            }
            for i in 0..4 {
                let [a, b, c, d] = [fours[i].0, fours[4 + i].0, fours[8 + i].0, fours[12 + i].0];
                let (even, odd) = (
                    [_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d)],
                    [_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d)],
                );
                columns[i] = Words(_mm512_shuffle_i32x4::<0x88>(even[0], even[1]));
                columns[4 + i] = Words(_mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]));
                columns[8 + i] = Words(_mm512_shuffle_i32x4::<0xdd>(even[0], even[1]));
                columns[12 + i] = Words(_mm512_shuffle_i32x4::<0xdd>(odd[0], odd[1]));
            }
        }
        columns
    }

    /// Puts words to memory.
    #[inline(always)]
    pub(crate) fn put(self, words: Words, to: &mut [u32; LANES]) {
        // SAFETY: `self` proves that the processor has AVX-512 F; there is room for the 64 bytes that are
        // written, and the instruction asks for no alignment.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), words.0) }
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
    fn lefts(self, x: &[f32], to: &mut [u32]) {
        let (lines, rest) = to.as_chunks_mut::<LANES>();
        for (at, line) in lines.iter_mut().enumerate() {
            self.put(self.neighbours(x.get(2 * LANES * at..).unwrap_or(&[])), line);
        }
        let mut line = [0; LANES];
        self.put(self.neighbours(x.get(2 * LANES * lines.len()..).unwrap_or(&[])), &mut line);
        rest.iter_mut().zip(line).for_each(|(to, word)| *to = word);
    }

    #[inline(always)]
    fn interleave(self, former: &[f32], latter: &[f32], words: &mut [u32]) {
        for (at, line) in words.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let [former, latter] = [former, latter].map(|x| x.get(LANES * at..).unwrap_or(&[]));
            self.put(self.interleaved(former, latter), line);
        }
    }

    #[inline(always)]
    fn transpose(self, columns: &[&[f32]], words: &mut [u32], width: usize) {
        let mut rows = [self.neighbours(&[]); LANES];
        for at in 0..LANES {
            rows[at] = self.neighbours(columns.get(at).copied().unwrap_or(&[]));
        }
        let rows = self.transposed(rows);
        for (at, words) in words.chunks_mut(width).take(LANES).enumerate() {
            if let Some(line) = words.first_chunk_mut() {
                self.put(rows[at], line);
            }
        }
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
