//! Products of row-major `f32` matrices.
#![expect(unsafe_code, reason = "the gemm crate takes pointers and strides")]

mod row_invariant;

pub use row_invariant::nt_row_invariant;

use crate::error::{KernelError, area, check_length};

/// `out[m,n] = a[m,k] · b[n,k]ᵀ`, a linear layer's forward.
///
/// # Errors
/// Where the lengths do not fit.
pub fn nt(
    m: usize,
    k: usize,
    n: usize,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    check(m, k, n, a, b, out)?;
    product([m, k, n], a, [k, 1], b, [1, k], Out { numbers: out, stride: n }, false);
    Ok(())
}

/// `out[m,n] = a[m,k] · b[k,n]`, a linear layer's gradient of its input.
///
/// # Errors
/// Where the lengths do not fit.
pub fn nn(
    m: usize,
    k: usize,
    n: usize,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    check(m, k, n, a, b, out)?;
    product([m, k, n], a, [k, 1], b, [n, 1], Out { numbers: out, stride: n }, false);
    Ok(())
}

/// `out[m,n] = a[k,m]ᵀ · b[k,n]`, a linear layer's gradient of its weight.
///
/// # Errors
/// Where the lengths do not fit.
pub fn tn(
    m: usize,
    k: usize,
    n: usize,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    check(m, k, n, a, b, out)?;
    product([m, k, n], a, [1, m], b, [n, 1], Out { numbers: out, stride: n }, false);
    Ok(())
}

fn check(
    m: usize,
    k: usize,
    n: usize,
    a: &[f32],
    b: &[f32],
    out: &[f32],
) -> Result<(), KernelError> {
    check_length("a", a.len(), area(m, k))?;
    check_length("b", b.len(), area(k, n))?;
    check_length("out", out.len(), area(m, n))
}

/// The result of a product, row-major.
pub(crate) struct Out<'a> {
    pub(crate) numbers: &'a mut [f32],
    /// From a row to the next, at least as long as a row.
    pub(crate) stride: usize,
}

/// `out = a · b`, or `out += a · b` where `accumulate` is set; strides as `[row, column]`.
///
/// The caller has checked that `a` and `b` hold `m · k` and `k · n` numbers at these strides, which are
/// those of rows or of columns of a matrix.
pub(crate) fn product(
    [m, k, n]: [usize; 3],
    a: &[f32],
    a_strides: [usize; 2],
    b: &[f32],
    b_strides: [usize; 2],
    out: Out<'_>,
    accumulate: bool,
) {
    let last = |rows: usize, columns: usize, strides: [usize; 2]| {
        if rows == 0 || columns == 0 {
            0
        } else {
            area(rows - 1, strides[0])
                .saturating_add(area(columns - 1, strides[1]))
                .saturating_add(1)
        }
    };
    assert!(last(m, k, a_strides) <= a.len());
    assert!(last(k, n, b_strides) <= b.len());
    assert!(n <= out.stride && last(m, n, [out.stride, 1]) <= out.numbers.len());
    // SAFETY: gemm reads a[i·rs + j·cs] for i < m, j < k, b likewise for k × n, and reads and
    // writes out[i·stride + j] for i < m, j < n. The assertions above keep each within its slice, and
    // `out` is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.numbers.as_mut_ptr(),
            1,
            out.stride as isize,
            accumulate,
            a.as_ptr(),
            a_strides[1] as isize,
            a_strides[0] as isize,
            b.as_ptr(),
            b_strides[1] as isize,
            b_strides[0] as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, bits, numbers, with_threads};

    /// The product in `f64`; strides as `[row, column]`.
    pub(super) fn reference(
        [m, k, n]: [usize; 3],
        a: &[f32],
        a_strides: [usize; 2],
        b: &[f32],
        b_strides: [usize; 2],
    ) -> Vec<f64> {
        let mut out = Vec::with_capacity(m * n);
        for i in 0..m {
            for j in 0..n {
                let term = |l: usize| {
                    f64::from(a[i * a_strides[0] + l * a_strides[1]])
                        * f64::from(b[l * b_strides[0] + j * b_strides[1]])
                };
                out.push((0..k).map(term).sum());
            }
        }
        out
    }

    #[test]
    fn the_three_products_equal_their_formulas() {
        for (m, k, n) in [(1, 1, 1), (1, 7, 5), (13, 1, 3), (5, 33, 1), (31, 61, 67)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let mut out = vec![f32::NAN; m * n];
            nt(m, k, n, &a, &b, &mut out).unwrap();
            assert_close(&out, &reference([m, k, n], &a, [k, 1], &b, [1, k]), 1e-5);
            nn(m, k, n, &a, &b, &mut out).unwrap();
            assert_close(&out, &reference([m, k, n], &a, [k, 1], &b, [n, 1]), 1e-5);
            tn(m, k, n, &a, &b, &mut out).unwrap();
            assert_close(&out, &reference([m, k, n], &a, [1, m], &b, [n, 1]), 1e-5);
        }
    }

    #[test]
    fn no_terms_give_zero() {
        let mut out = [f32::NAN; 6];
        nt(2, 0, 3, &[], &[], &mut out).unwrap();
        assert_eq!(out, [0.0; 6]);
        nn(0, 2, 3, &[], &[0.0; 6], &mut []).unwrap();
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let (m, k, n) = (150, 300, 130);
        let (a, b) = (numbers(m * k, 3), numbers(k * n, 4));
        for product in [nt, nn, tn] {
            let run = |threads| {
                let mut out = vec![0.0; m * n];
                with_threads(threads, || product(m, k, n, &a, &b, &mut out).unwrap());
                bits(&out)
            };
            assert_eq!(run(1), run(2));
        }
    }

    #[test]
    fn wrong_lengths_are_errors_that_name_the_operand() {
        let error = nt(2, 3, 4, &[0.0; 6], &[0.0; 11], &mut [0.0; 8]).unwrap_err();
        assert_eq!(error, KernelError::WrongLength { operand: "b", found: 11, expected: 12 });
        assert!(nn(2, 3, 4, &[0.0; 5], &[0.0; 12], &mut [0.0; 8]).is_err());
        assert!(tn(2, 3, 4, &[0.0; 6], &[0.0; 12], &mut [0.0; 9]).is_err());
    }
}
