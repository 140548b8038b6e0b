//! A product whose rows do not depend on each other's number.

use rayon::prelude::*;

use super::check;
use crate::error::KernelError;
use crate::simd::{COLUMNS, Kernel, Simd, dispatch, dot_tile};

/// Terms of a dot product that are summed in registers; such sums are added in order.
const DEPTH: usize = 768;
/// Rows of `b` of a piece of work.
const B_ROWS: usize = 32;
/// Rows of `a` that stay in the cache while `b` passes by.
const A_ROWS: usize = 48;
/// Pieces that are enough work for any number of threads.
const MANY_PIECES: usize = 512;
/// Multiplications that are worth a task of their own.
const TASK: usize = 1 << 16;

/// As [`nt`](super::nt), and row `i` of the result has the same bits whatever `m` is.
///
/// For inference: what a token computes does not depend on what else is in the batch.
/// Every number is the sum over blocks of 768 terms, each summed by lanes in registers, in an
/// order that depends on `k` alone.
///
/// # Shapes
/// `a`: `[m, k]`, `b`: `[n, k]`, `out`: `[m, n]`.
///
/// # Errors
/// Where the lengths do not fit.
pub fn nt_row_invariant(
    m: usize,
    k: usize,
    n: usize,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    check(m, k, n, a, b, out)?;
    if k == 0 || out.is_empty() {
        out.fill(0.0);
        return Ok(());
    }
    let column_pieces = n.div_ceil(B_ROWS);
    let rows = if column_pieces < MANY_PIECES { A_ROWS } else { m };
    let mut pieces: Vec<Operands<'_>> = Vec::new();
    for (a, out) in a.chunks(rows * k).zip(out.chunks_mut(rows * n)) {
        let first = pieces.len();
        let none = || Vec::with_capacity(a.len() / k);
        pieces.extend(b.chunks(B_ROWS * k).map(|b| Operands { a, b, out: none() }));
        for row in out.chunks_mut(n) {
            for (piece, part) in pieces[first..].iter_mut().zip(row.chunks_mut(B_ROWS)) {
                piece.out.push(part);
            }
        }
    }
    let least = (TASK / (rows.min(m) * B_ROWS * k)).max(1);
    pieces.into_par_iter().with_min_len(least).for_each(|Operands { a, b, mut out }| {
        for (a, out) in a.chunks(A_ROWS * k).zip(out.chunks_mut(A_ROWS)) {
            dispatch(Piece { k, a, b, out });
        }
    });
    Ok(())
}

/// What a task works on; `out` holds its part of every row.
struct Operands<'a> {
    a: &'a [f32],
    b: &'a [f32],
    out: Vec<&'a mut [f32]>,
}

/// Some rows of `a` times some rows of `b`.
struct Piece<'a, 'b> {
    k: usize,
    a: &'a [f32],
    b: &'a [f32],
    out: &'a mut [&'b mut [f32]],
}

impl Kernel for Piece<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { k, a, b, out } = self;
        let (a_rows, b_rows) = (a.len() / k, b.len() / k);
        for depth in (0..k).step_by(DEPTH) {
            let terms = depth..(depth + DEPTH).min(k);
            for column in (0..b_rows).step_by(COLUMNS) {
                let mut columns = [&b[..0]; COLUMNS];
                for c in 0..COLUMNS {
                    let row = (column + c).min(b_rows - 1) * k;
                    columns[c] = &b[row + terms.start..row + terms.end];
                }
                let mut row = 0;
                while S::WIDE_TILE && row + 6 <= a_rows {
                    tile::<S, 6>(simd, k, a, row, columns, column, depth, out);
                    row += 6;
                }
                while row + 3 <= a_rows {
                    tile::<S, 3>(simd, k, a, row, columns, column, depth, out);
                    row += 3;
                }
                while row + 2 <= a_rows {
                    tile::<S, 2>(simd, k, a, row, columns, column, depth, out);
                    row += 2;
                }
                if row < a_rows {
                    tile::<S, 1>(simd, k, a, row, columns, column, depth, out);
                }
            }
        }
    }
}

/// `R` rows by four columns of the result, over the terms from `depth` on.
#[inline(always)]
fn tile<S: Simd, const R: usize>(
    simd: S,
    k: usize,
    a: &[f32],
    row: usize,
    columns: [&[f32]; COLUMNS],
    column: usize,
    depth: usize,
    out: &mut [&mut [f32]],
) {
    let mut rows = [&a[..0]; R];
    for r in 0..R {
        rows[r] = &a[(row + r) * k + depth..][..columns[0].len()];
    }
    let products = dot_tile(simd, rows, columns);
    for r in 0..R {
        for (to, product) in out[row + r][column..].iter_mut().zip(products[r]) {
            *to = if depth == 0 { product } else { *to + product };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::reference;
    use super::*;
    use crate::simd::dispatch_on;
    use crate::testing::{ISAS, assert_close, bits, numbers, with_threads};

    #[test]
    fn it_equals_the_product() {
        let sizes = [(1, 1, 1), (1, 576, 61), (7, 13, 5), (50, 31, 33), (3, 2 * DEPTH + 5, 4)];
        for (m, k, n) in sizes {
            let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
            let mut out = vec![f32::NAN; m * n];
            nt_row_invariant(m, k, n, &a, &b, &mut out).unwrap();
            assert_close(&out, &reference([m, k, n], &a, [k, 1], &b, [1, k]), 1e-5);
        }
    }

    #[test]
    fn many_columns_take_the_same_arithmetic_as_few() {
        let (m, k, n) = (2 * A_ROWS + 1, 3, (MANY_PIECES + 1) * B_ROWS);
        let (a, b) = (numbers(m * k, 3), numbers(n * k, 4));
        let mut out = vec![f32::NAN; m * n];
        nt_row_invariant(m, k, n, &a, &b, &mut out).unwrap();
        let mut few = vec![f32::NAN; B_ROWS];
        nt_row_invariant(1, k, B_ROWS, &a[(m - 1) * k..], &b[..B_ROWS * k], &mut few).unwrap();
        assert_eq!(bits(&out[(m - 1) * n..][..B_ROWS]), bits(&few));
        assert_close(&out, &reference([m, k, n], &a, [k, 1], &b, [1, k]), 1e-5);
    }

    #[test]
    fn every_instruction_set_agrees() {
        let (m, k, n) = (7, 100, 13);
        let (a, b) = (numbers(m * k, 5), numbers(n * k, 6));
        for isa in ISAS {
            let mut out = vec![f32::NAN; m * n];
            let mut rows: Vec<&mut [f32]> = out.chunks_mut(n).collect();
            dispatch_on(isa, Piece { k, a: &a, b: &b, out: &mut rows });
            assert_close(&out, &reference([m, k, n], &a, [k, 1], &b, [1, k]), 1e-5);
        }
    }

    #[test]
    fn no_terms_give_zero_and_wrong_lengths_are_errors() {
        let mut out = [f32::NAN; 6];
        nt_row_invariant(2, 0, 3, &[], &[], &mut out).unwrap();
        assert_eq!(out, [0.0; 6]);
        nt_row_invariant(0, 2, 3, &[], &[0.0; 6], &mut []).unwrap();
        assert!(nt_row_invariant(2, 1, 3, &[0.0; 2], &[0.0; 2], &mut out).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_row_has_the_same_bits_in_any_batch(
            m in 1usize..120,
            k in 1usize..900,
            n in 1usize..70,
            first in 0usize..120,
            len in 1usize..120,
            threads in 1usize..3,
        ) {
            let (a, b) = (numbers(m * k, 7), numbers(n * k, 8));
            let mut all = vec![f32::NAN; m * n];
            nt_row_invariant(m, k, n, &a, &b, &mut all).unwrap();
            let first = first % m;
            let len = len.min(m - first);
            let mut some = vec![f32::NAN; len * n];
            let rows = &a[first * k..][..len * k];
            with_threads(threads, || nt_row_invariant(len, k, n, rows, &b, &mut some).unwrap());
            prop_assert_eq!(bits(&some), bits(&all[first * n..][..len * n]));
        }
    }
}
