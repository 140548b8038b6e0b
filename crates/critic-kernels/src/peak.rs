//! What the processor multiplies and adds at most: what products are measured against.

use std::hint::black_box;

use crate::Precision;
use crate::isa::{self, Isa};
use crate::simd::{DotKernel, Dots, Simd, dispatch_dots};

/// Multiplies and adds `n_steps` times a tile of numbers that never leave registers and the first-level
/// cache, on this thread; gives the number of floating-point operations, a multiplication and an addition
/// for each pair of numbers.
///
/// With [`Precision::Bf16`] by the dot product of pairs, where the processor has it; else by
/// multiplications of `f32`.
pub fn multiply_add(precision: Precision, n_steps: usize) -> f64 {
    let isa = match precision {
        Precision::F32 => isa::active().min(Isa::Avx512),
        Precision::Bf16 => isa::active(),
    };
    let mut n_operations = 0.0;
    dispatch_dots(isa, Tile { n_steps, n_operations: &mut n_operations });
    n_operations
}

struct Tile<'a> {
    n_steps: usize,
    n_operations: &'a mut f64,
}

impl DotKernel for Tile<'_> {
    #[inline(always)]
    fn run<D: Dots>(self, dots: D) {
        *self.n_operations = match D::Simd::PANEL_BLOCKS {
            3 => tile::<D, 8, 3>(dots, self.n_steps),
            2 => tile::<D, 6, 2>(dots, self.n_steps),
            _ => tile::<D, 4, 1>(dots, self.n_steps),
        };
    }
}

#[inline(always)]
fn tile<D: Dots, const R: usize, const C: usize>(dots: D, n_steps: usize) -> f64 {
    let words = black_box([0x3f00_3f00; 64]);
    let right = D::Simd::words(&words);
    let lanes = words.len() / right.len();
    let Some(right) = right.first_chunk::<C>() else { return 0.0 };
    let left = black_box([D::left(0.5, 0.5); R]);
    let mut sums = [[dots.simd().splat(0.0); C]; R];
    for _ in 0..n_steps {
        dots.add(left, right, &mut sums);
    }
    black_box(sums);
    (4 * lanes * R * C * n_steps) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_grow_with_the_steps() {
        for precision in [Precision::F32, Precision::Bf16] {
            let once = multiply_add(precision, 1);
            assert!(once >= 8.0, "{once}");
            assert_eq!(multiply_add(precision, 1000), 1000.0 * once);
        }
    }
}
