//! Products of small tiles, accumulated in registers.
//!
//! Each number of a result has an accumulator of its own and meets its terms in their order, so
//! its bits do not depend on the tile that it is computed in.

use super::Simd;

/// Columns of a register tile: dot products side by side, or vectors side by side.
pub(crate) const COLUMNS: usize = 4;

/// `a · b`, in an order that depends on the length alone.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let zero = simd.splat(0.0);
    let mut sums = [zero; 4];
    let (a_blocks, a_rest) = S::blocks(a);
    let (b_blocks, b_rest) = S::blocks(b);
    let (mut a_quads, mut b_quads) = (a_blocks.chunks_exact(4), b_blocks.chunks_exact(4));
    for (a, b) in a_quads.by_ref().zip(b_quads.by_ref()) {
        for i in 0..4 {
            sums[i] = simd.mul_add(simd.load(&a[i]), simd.load(&b[i]), sums[i]);
        }
    }
    for (a, b) in a_quads.remainder().iter().zip(b_quads.remainder()) {
        sums[0] = simd.mul_add(simd.load(a), simd.load(b), sums[0]);
    }
    let (a, b) = (S::padded(a_rest, 0.0), S::padded(b_rest, 0.0));
    sums[1] = simd.mul_add(simd.load(&a), simd.load(&b), sums[1]);
    let sum = simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3]));
    simd.sums([sum, zero, zero, zero])[0]
}

/// The dot products of `R` rows with four rows; all have one length.
#[inline(always)]
pub(crate) fn dot_tile<S: Simd, const R: usize>(
    simd: S,
    a: [&[f32]; R],
    b: [&[f32]; COLUMNS],
) -> [[f32; COLUMNS]; R] {
    let steps = S::blocks(b[0]).0.len();
    let a_blocks = a.map(|a| &S::blocks(a).0[..steps]);
    let b_blocks = b.map(|b| &S::blocks(b).0[..steps]);
    let mut sums = [[simd.splat(0.0); COLUMNS]; R];
    for step in 0..steps {
        let mut x = [simd.splat(0.0); R];
        for r in 0..R {
            x[r] = simd.load(&a_blocks[r][step]);
        }
        for c in 0..COLUMNS {
            let y = simd.load(&b_blocks[c][step]);
            for r in 0..R {
                sums[r][c] = simd.mul_add(x[r], y, sums[r][c]);
            }
        }
    }
    let b_rest = b.map(|b| S::blocks(b).1);
    if !b_rest[0].is_empty() {
        for r in 0..R {
            let x = S::padded(S::blocks(a[r]).1, 0.0);
            for c in 0..COLUMNS {
                let y = S::padded(b_rest[c], 0.0);
                sums[r][c] = simd.mul_add(simd.load(&x), simd.load(&y), sums[r][c]);
            }
        }
    }
    let mut products = [[0.0; COLUMNS]; R];
    for r in 0..R {
        products[r] = simd.sums(sums[r]);
    }
    products
}

/// `Σₛ a[r][s] · b[s]` for `R` rows, one step after the other, in the first `n` columns; the others have no
/// meaning. `N` is a multiple of [`COLUMNS`] blocks.
#[inline(always)]
pub(crate) fn row_products<S: Simd, const R: usize, const N: usize>(
    simd: S,
    a: [&[f32]; R],
    b: &[[f32; N]],
    n: usize,
) -> [[f32; N]; R] {
    let mut products = [[0.0; N]; R];
    let a = a.map(|a| &a[..b.len()]);
    let blocks = n.div_ceil(N / S::blocks(&products[0]).0.len());
    let mut block = 0;
    while block < blocks {
        block += match blocks - block {
            1 => products_strip::<S, R, N, 1>(simd, a, b, &mut products, block),
            2 => products_strip::<S, R, N, 2>(simd, a, b, &mut products, block),
            _ => products_strip::<S, R, N, COLUMNS>(simd, a, b, &mut products, block),
        };
    }
    products
}

/// [`row_products`] for `C` blocks of the columns; gives `C`.
#[inline(always)]
fn products_strip<S: Simd, const R: usize, const N: usize, const C: usize>(
    simd: S,
    a: [&[f32]; R],
    b: &[[f32; N]],
    products: &mut [[f32; N]; R],
    block: usize,
) -> usize {
    let mut sums = [[simd.splat(0.0); C]; R];
    for (step, b) in b.iter().enumerate() {
        let b = &S::blocks(b).0[block..block + C];
        let mut wide = [simd.splat(0.0); R];
        for r in 0..R {
            wide[r] = simd.splat(a[r][step]);
        }
        for c in 0..C {
            let term = simd.load(&b[c]);
            for r in 0..R {
                sums[r][c] = simd.mul_add(wide[r], term, sums[r][c]);
            }
        }
    }
    for r in 0..R {
        let to = &mut S::blocks_mut(&mut products[r]).0[block..block + C];
        for c in 0..C {
            simd.store(sums[r][c], &mut to[c]);
        }
    }
    C
}

/// Where a row of a sum takes its factors from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Factors<'a, const N: usize> {
    /// `factor(r, s)` is `rows[r][first + s]`.
    Rows { rows: &'a [[f32; N]], first: usize },
    /// `factor(r, s)` is `rows[s][first + r]`.
    Columns { rows: &'a [[f32; N]], first: usize },
}

/// `out[offsets[r]..][..width] += Σₛ factor(r, s) · x[s]` for `R` rows, one step after the other.
#[inline(always)]
pub(crate) fn accumulate<S: Simd, const R: usize, const N: usize>(
    simd: S,
    factors: Factors<'_, N>,
    x: &[&[f32]],
    out: &mut [f32],
    offsets: [usize; R],
    width: usize,
) {
    let blocks = S::blocks(&out[offsets[0]..offsets[0] + width]).0.len();
    let mut block = 0;
    while block + COLUMNS <= blocks {
        strip::<S, R, N, COLUMNS>(simd, factors, x, out, offsets, width, block);
        block += COLUMNS;
    }
    while block < blocks {
        strip::<S, R, N, 1>(simd, factors, x, out, offsets, width, block);
        block += 1;
    }
    let done = width - S::blocks(&out[offsets[0]..offsets[0] + width]).1.len();
    for r in 0..R {
        for column in done..width {
            let mut sum = out[offsets[r] + column];
            for (step, x) in x.iter().enumerate() {
                sum = simd.mul_add_number(factor(factors, r, step), x[column], sum);
            }
            out[offsets[r] + column] = sum;
        }
    }
}

/// [`accumulate`] for `C` blocks of the width.
#[inline(always)]
fn strip<S: Simd, const R: usize, const N: usize, const C: usize>(
    simd: S,
    factors: Factors<'_, N>,
    x: &[&[f32]],
    out: &mut [f32],
    offsets: [usize; R],
    width: usize,
    block: usize,
) {
    let mut sums = [[simd.splat(0.0); C]; R];
    for r in 0..R {
        let from = &S::blocks(&out[offsets[r]..offsets[r] + width]).0[block..block + C];
        for c in 0..C {
            sums[r][c] = simd.load(&from[c]);
        }
    }
    for (step, x) in x.iter().enumerate() {
        let from = &S::blocks(x).0[block..block + C];
        let mut wide = [simd.splat(0.0); R];
        for r in 0..R {
            wide[r] = simd.splat(factor(factors, r, step));
        }
        for c in 0..C {
            let term = simd.load(&from[c]);
            for r in 0..R {
                sums[r][c] = simd.mul_add(wide[r], term, sums[r][c]);
            }
        }
    }
    for r in 0..R {
        let to = &mut S::blocks_mut(&mut out[offsets[r]..offsets[r] + width]).0[block..block + C];
        for c in 0..C {
            simd.store(sums[r][c], &mut to[c]);
        }
    }
}

#[inline(always)]
fn factor<const N: usize>(factors: Factors<'_, N>, r: usize, step: usize) -> f32 {
    match factors {
        Factors::Rows { rows, first } => rows[r][first + step],
        Factors::Columns { rows, first } => rows[step][first + r],
    }
}
