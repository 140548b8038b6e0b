//! Products of row-major `f32` matrices.
#![expect(unsafe_code, reason = "the gemm crate takes pointers and strides")]

use crate::error::{KernelError, check_length};

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
    product([m, k, n], a, [k, 1], b, [1, k], out, false);
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
    product([m, k, n], a, [k, 1], b, [n, 1], out, false);
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
    product([m, k, n], a, [1, m], b, [n, 1], out, false);
    Ok(())
}

/// As [`nt`], and row `i` of the result has the same bits whatever `m` is.
///
/// For inference: what a token computes does not depend on what else is in the batch.
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
    for i in 0..m {
        for j in 0..n {
            let (a, b) = (&a[i * k..(i + 1) * k], &b[j * k..(j + 1) * k]);
            out[i * n + j] = a.iter().zip(b).map(|(a, b)| a * b).sum();
        }
    }
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
    check_length("a", a.len(), m * k)?;
    check_length("b", b.len(), k * n)?;
    check_length("out", out.len(), m * n)
}

/// `out = a · b`, or `out += a · b` where `accumulate` is set; strides as `[row, column]`.
///
/// The caller has checked that `a`, `b` and `out` hold `m · k`, `k · n` and `m · n` numbers and
/// that the strides are those of a row-major matrix or of its transpose.
pub(crate) fn product(
    [m, k, n]: [usize; 3],
    a: &[f32],
    a_strides: [usize; 2],
    b: &[f32],
    b_strides: [usize; 2],
    out: &mut [f32],
    accumulate: bool,
) {
    let last = |rows: usize, columns: usize, strides: [usize; 2]| {
        if rows == 0 || columns == 0 {
            0
        } else {
            (rows - 1) * strides[0] + (columns - 1) * strides[1] + 1
        }
    };
    assert!(last(m, k, a_strides) <= a.len());
    assert!(last(k, n, b_strides) <= b.len());
    assert!(m * n == out.len());
    // SAFETY: gemm reads a[i·rs + j·cs] for i < m, j < k, b likewise for k × n, and reads and
    // writes out[i·n + j] for i < m, j < n. The assertions above keep each within its slice, and
    // `out` is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
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
