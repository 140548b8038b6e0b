//! The path without instruction-set extensions: arrays that the compiler vectorises.

use super::Simd;

/// Numbers in a vector.
const LANES: usize = 8;

/// The target's baseline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    type Block = [f32; LANES];
    type Vector = [f32; LANES];
    const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
    const WIDE_TILE: bool = false;
    type Words = [u32; LANES];
    const PANEL_BLOCKS: usize = 1;
    const PANEL: usize = LANES;

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
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, x: &Self::Block) -> Self::Vector {
        *x
    }

    #[inline(always)]
    fn store(self, x: Self::Vector, to: &mut Self::Block) {
        *to = x;
    }

    #[inline(always)]
    fn add(self, mut a: Self::Vector, b: Self::Vector) -> Self::Vector {
        for i in 0..LANES {
            a[i] += b[i];
        }
        a
    }

    #[inline(always)]
    fn max(self, mut a: Self::Vector, b: Self::Vector) -> Self::Vector {
        for i in 0..LANES {
            a[i] = if a[i] > b[i] { a[i] } else { b[i] };
        }
        a
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, mut c: Self::Vector) -> Self::Vector {
        for i in 0..LANES {
            c[i] = self.mul_add_number(a[i], b[i], c[i]);
        }
        c
    }

    #[inline(always)]
    fn sums(self, x: [Self::Vector; 4]) -> [f32; 4] {
        x.map(|x| ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7])))
    }

    #[inline(always)]
    fn words(words: &[u32]) -> &[Self::Words] {
        words.as_chunks().0
    }

    #[inline(always)]
    fn high(self, x: &Self::Words) -> Self::Vector {
        x.map(|x| f32::from_bits(x & 0xffff_0000))
    }

    #[inline(always)]
    fn low(self, x: &Self::Words) -> Self::Vector {
        x.map(|x| f32::from_bits(x << 16))
    }
}
