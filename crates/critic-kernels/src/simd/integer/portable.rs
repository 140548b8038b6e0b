//! The path without instruction-set extensions: arrays that the compiler vectorises.

use std::array::from_fn;

use super::super::Simd;
use super::super::portable::Portable;
use super::{Half, Integer, Line, PANEL};

/// Lanes of a vector.
const LANES: usize = 8;

impl Integer for Portable {
    const LANES: usize = LANES;
    const BYTE_STEP: usize = 2;
    type Words = [i32; LANES];
    type Floats = [f32; LANES];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::Floats {
        [x; LANES]
    }

    #[inline(always)]
    fn splat_word(self, x: i32) -> Self::Words {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, line: &Line, first: usize) -> Self::Floats {
        from_fn(|i| line.float(first + i))
    }

    #[inline(always)]
    fn store(self, x: Self::Floats, to: &mut [f32; PANEL], first: usize) {
        to[first..first + LANES].copy_from_slice(&x);
    }

    #[inline(always)]
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn add_product(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        from_fn(|i| self.mul_add_number(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn to_floats(self, x: Self::Words) -> Self::Floats {
        x.map(|x| x as f32)
    }

    #[inline(always)]
    fn nibbles(self, line: &Line, first: usize) -> [Self::Words; 2] {
        let words: [u32; LANES] = from_fn(|i| line.word(first + i));
        let low = words.map(|w| (w & 0x0f0f_0f0f) as i32);
        [low, words.map(|w| (w >> 4 & 0x0f0f_0f0f) as i32)]
    }

    #[inline(always)]
    fn add_nibbles(self, sums: Self::Words, nibbles: Self::Words, x: Self::Words) -> Self::Words {
        from_fn(|i| {
            let product = |at: i32| (nibbles[i] >> at & 15) * i32::from((x[i] >> at) as i8);
            sums[i] + (product(0) + product(8)) + (product(16) + product(24))
        })
    }

    #[inline(always)]
    fn total_nibbles(self, sums: Self::Words) -> Self::Words {
        sums
    }

    #[inline(always)]
    fn start_bytes(self, _sum: i32) -> Self::Words {
        [0; LANES]
    }

    #[inline(always)]
    fn bytes(self, line: &Line, step: usize, first: usize) -> Self::Words {
        let half = &line.0[2 * PANEL * step..][..2 * PANEL];
        from_fn(|i| {
            let pair = [half[2 * (first + i)] as i8, half[2 * (first + i) + 1] as i8];
            i32::from(pair[1]) << 16 | i32::from(pair[0]) & 0xffff
        })
    }

    #[inline(always)]
    fn add_bytes(self, sums: Self::Words, weights: Self::Words, x: Self::Words) -> Self::Words {
        from_fn(|i| {
            let low = i32::from(weights[i] as i16) * i32::from(x[i] as i16);
            sums[i] + low + (weights[i] >> 16) * (x[i] >> 16)
        })
    }

    #[inline(always)]
    fn halves(self, format: Half, line: &Line, first: usize) -> [Self::Floats; 2] {
        let words: [u32; LANES] = from_fn(|i| line.word(first + i));
        match format {
            Half::Bf16 => {
                [words.map(|w| f32::from_bits(w << 16)), words.map(|w| f32::from_bits(w & !0xffff))]
            }
            Half::F16 => [words.map(|w| finite_half(w << 16)), words.map(finite_half)],
        }
    }
}

/// The number whose binary16 stands in the upper half of `bits`; not for infinities and NaN.
///
/// With the exponent's bits at their place in an `f32` it lacks a factor of 2^(127 − 15), for
/// subnormal numbers too.
#[inline(always)]
fn finite_half(bits: u32) -> f32 {
    f32::from_bits(((bits as i32 >> 3) as u32) & 0x8fff_e000) * f32::from_bits(0x7780_0000)
}
