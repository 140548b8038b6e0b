//! What the processor multiplies and adds at most: what products are measured against.

use std::hint::black_box;

use crate::Precision;
use crate::isa::{self, Isa};
#[cfg(target_arch = "x86_64")]
use crate::simd::amx::{Amx, OutTile, TILE_COLUMNS, TILE_PAIRS, TILE_ROWS, TileKernel, Tiles};
use crate::simd::{DotKernel, Dots, Simd, dispatch_dots};

/// What was multiplied and added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Done {
    /// Floating-point operations: a multiplication and an addition for each pair of numbers.
    pub n_operations: f64,
    /// The sum of all products, each of which is a quarter.
    pub total: f64,
}

/// Multiplies and adds `n_steps` times a tile of numbers that never leave registers and the first-level
/// cache, on this thread.
///
/// With [`Precision::Bf16`] by tiles or by the dot product of pairs, where the processor has them; else by
/// multiplications of `f32`.
pub fn multiply_add(precision: Precision, n_steps: usize) -> Done {
    let isa = match precision {
        Precision::F32 => isa::active().min(Isa::Avx512),
        Precision::Bf16 => isa::active(),
    };
    let mut done = Done { n_operations: 0.0, total: 0.0 };
    let tile = Tile { n_steps, done: &mut done };
    #[cfg(target_arch = "x86_64")]
    if let Some(amx) = Amx::on(isa) {
        amx.dispatch(tile);
        return done;
    }
    dispatch_dots(isa, tile);
    done
}

struct Tile<'a> {
    n_steps: usize,
    done: &'a mut Done,
}

impl DotKernel for Tile<'_> {
    #[inline(always)]
    fn run<D: Dots>(self, dots: D) {
        *self.done = match D::Simd::PANEL_BLOCKS {
            3 => tile::<D, 8, 3>(dots, self.n_steps),
            2 => tile::<D, 6, 2>(dots, self.n_steps),
            _ => tile::<D, 4, 1>(dots, self.n_steps),
        };
    }
}

#[cfg(target_arch = "x86_64")]
impl TileKernel for Tile<'_> {
    #[inline(always)]
    fn run(self, tiles: &mut Tiles) {
        /// Steps between visits to the sums, as a product has them.
        const STEPS: usize = 8;
        /// Numbers that begin where a line of the cache does.
        #[repr(align(64))]
        struct Lines<T>(T);

        let left = black_box(Lines([0x3f00_3f00; STEPS * TILE_PAIRS * TILE_ROWS]));
        let right = black_box(Lines([0x3f00_3f00; STEPS * TILE_PAIRS * TILE_COLUMNS]));
        let mut sums = Lines([[0.0; TILE_COLUMNS]; TILE_ROWS]);
        for step in (0..self.n_steps).step_by(STEPS) {
            let steps = STEPS.min(self.n_steps - step);
            let left = &left.0[..steps * TILE_PAIRS * TILE_ROWS];
            let right = &right.0[..steps * TILE_PAIRS * TILE_COLUMNS];
            tiles.multiply(left, right, &[], OutTile::whole(&mut sums.0), true);
        }
        *self.done = Done {
            n_operations: (4 * TILE_PAIRS * TILE_ROWS * TILE_COLUMNS * self.n_steps) as f64,
            total: sums.0.as_flattened().iter().copied().map(f64::from).sum(),
        };
    }
}

#[inline(always)]
fn tile<D: Dots, const R: usize, const C: usize>(dots: D, n_steps: usize) -> Done {
    let words = black_box([0x3f00_3f00; 64]);
    let right = D::Simd::words(&words);
    let lanes = words.len() / right.len();
    let Some(right) = right.first_chunk::<C>() else {
        return Done { n_operations: 0.0, total: 0.0 };
    };
    let left = black_box([D::left(0.5, 0.5); R]);
    let mut sums = [[dots.simd().splat(0.0); C]; R];
    for _ in 0..n_steps {
        dots.add(left, right, &mut sums);
    }
    let mut total = 0.0;
    for sum in black_box(sums).as_flattened() {
        let mut block = D::Simd::padded(&[], 0.0);
        dots.simd().store(*sum, &mut block);
        total += D::Simd::numbers(&block).iter().copied().map(f64::from).sum::<f64>();
    }
    Done { n_operations: (4 * lanes * R * C * n_steps) as f64, total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_operations_are_counted_as_are_done() {
        for precision in [Precision::F32, Precision::Bf16] {
            for n_steps in [1, 1000] {
                let Done { n_operations, total } = multiply_add(precision, n_steps);
                assert!(n_operations >= 8.0 * n_steps as f64, "{n_operations}");
                assert_eq!(total, n_operations / 2.0 * 0.25, "{precision:?} {n_steps}");
            }
        }
    }
}
