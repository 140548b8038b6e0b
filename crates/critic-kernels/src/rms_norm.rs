//! Root mean square layer normalisation (Zhang & Sennrich 2019, arXiv 1910.07467).

use rayon::prelude::*;

use crate::error::{KernelError, check_length, count_rows};
use crate::simd::{Kernel, Simd, dispatch, dot};

/// Rows whose weight gradients are summed together before they join the others.
const ROWS_PER_SUM: usize = 64;
/// Numbers that are worth a task of their own.
const TASK: usize = 1 << 13;

/// `out = x · weight / sqrt(mean(x²) + eps)`, row by row.
///
/// # Shapes
/// `x` and `out`: `[n_rows, width]`, `weight`: `[width]`.
///
/// # Errors
/// Where the lengths do not fit.
pub fn forward(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) -> Result<(), KernelError> {
    let width = weight.len();
    count_rows("x", x.len(), width)?;
    check_length("out", out.len(), x.len())?;
    let rows = (TASK / width).max(1) * width;
    out.par_chunks_mut(rows)
        .zip(x.par_chunks(rows))
        .for_each(|(out, x)| dispatch(Forward { x, weight, eps, out }));
    Ok(())
}

/// Gradients of [`forward`]; both are overwritten.
///
/// # Shapes
/// `x`, `grad_out`, `grad_x`: `[n_rows, width]`, `weight` and `grad_weight`: `[width]`.
///
/// # Errors
/// Where the lengths do not fit.
pub fn backward(
    x: &[f32],
    weight: &[f32],
    eps: f32,
    grad_out: &[f32],
    grad_x: &mut [f32],
    grad_weight: &mut [f32],
) -> Result<(), KernelError> {
    let width = weight.len();
    count_rows("x", x.len(), width)?;
    check_length("grad_out", grad_out.len(), x.len())?;
    check_length("grad_x", grad_x.len(), x.len())?;
    check_length("grad_weight", grad_weight.len(), width)?;
    let rows = ROWS_PER_SUM * width;
    let sums: Vec<Vec<f32>> = grad_x
        .par_chunks_mut(rows)
        .zip(x.par_chunks(rows))
        .zip(grad_out.par_chunks(rows))
        .map(|((grad_x, x), grad_out)| {
            let mut grad_weight = vec![0.0; width];
            dispatch(Backward { x, weight, eps, grad_out, grad_x, grad_weight: &mut grad_weight });
            grad_weight
        })
        .collect();
    grad_weight.fill(0.0);
    for sum in &sums {
        grad_weight.iter_mut().zip(sum).for_each(|(to, x)| *to += x);
    }
    Ok(())
}

#[inline(always)]
fn inverse_rms<S: Simd>(simd: S, x: &[f32], eps: f32) -> f32 {
    1.0 / (dot(simd, x, x) / x.len() as f32 + eps).sqrt()
}

struct Forward<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        for (out, x) in self.out.chunks_exact_mut(width).zip(self.x.chunks_exact(width)) {
            let inverse = inverse_rms(simd, x, self.eps);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(self.weight) {
                *out = x * inverse * weight;
            }
        }
    }
}

struct Backward<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    grad_out: &'a [f32],
    grad_x: &'a mut [f32],
    grad_weight: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        let rows = self.grad_x.chunks_exact_mut(width).zip(self.x.chunks_exact(width));
        for ((grad_x, x), grad_out) in rows.zip(self.grad_out.chunks_exact(width)) {
            let inverse = inverse_rms(simd, x, self.eps);
            for i in 0..width {
                grad_x[i] = grad_out[i] * self.weight[i];
            }
            let shrink = dot(simd, grad_x, x) * inverse * inverse / width as f32;
            for i in 0..width {
                let normalised = x[i] * inverse;
                self.grad_weight[i] += grad_out[i] * normalised;
                grad_x[i] = (grad_x[i] - x[i] * shrink) * inverse;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::dispatch_on;
    use crate::testing::{ISAS, assert_close, bits, differences, numbers, wide, with_threads};

    fn reference(x: &[f64], weight: &[f64], eps: f32) -> Vec<f64> {
        let width = weight.len();
        let mut out = Vec::new();
        for x in x.chunks_exact(width) {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / width as f64;
            let inverse = 1.0 / (mean + f64::from(eps)).sqrt();
            out.extend(x.iter().zip(weight).map(|(x, w)| x * inverse * w));
        }
        out
    }

    #[test]
    fn forward_equals_the_formula_at_any_width_and_size() {
        for (rows, width) in [(1, 1), (3, 7), (5, 16), (2, 33), (130, 61), (1, 576)] {
            for scale in [1e-30, 1.0, 1e4] {
                let x: Vec<f32> = numbers(rows * width, 1).into_iter().map(|x| x * scale).collect();
                let weight = numbers(width, 2);
                let mut out = vec![f32::NAN; x.len()];
                forward(&x, &weight, 1e-6, &mut out).unwrap();
                assert_close(&out, &reference(&wide(&x), &wide(&weight), 1e-6), 1e-5);
            }
        }
    }

    #[test]
    fn backward_equals_finite_differences() {
        for (rows, width) in [(1, 1), (3, 7), (67, 5), (2, 33)] {
            let (x, weight) = (numbers(rows * width, 3), numbers(width, 4));
            let grad_out = numbers(x.len(), 5);
            let (mut grad_x, mut grad_weight) = (vec![f32::NAN; x.len()], vec![f32::NAN; width]);
            backward(&x, &weight, 1e-3, &grad_out, &mut grad_x, &mut grad_weight).unwrap();
            let loss = |x: &[f64], weight: &[f64]| -> f64 {
                let out = reference(x, weight, 1e-3);
                out.iter().zip(&grad_out).map(|(out, g)| out * f64::from(*g)).sum()
            };
            assert_close(&grad_x, &differences(&x, |x| loss(x, &wide(&weight))), 1e-4);
            assert_close(
                &grad_weight,
                &differences(&weight, |weight| loss(&wide(&x), weight)),
                1e-4,
            );
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_among_others() {
        let (x, weight) = (numbers(50 * 61, 6), numbers(61, 7));
        let mut all = vec![0.0; x.len()];
        forward(&x, &weight, 1e-6, &mut all).unwrap();
        for (x, expected) in x.chunks_exact(61).zip(all.chunks_exact(61)) {
            let mut out = vec![0.0; 61];
            forward(x, &weight, 1e-6, &mut out).unwrap();
            assert_eq!(bits(&out), bits(expected));
        }
    }

    #[test]
    fn gradients_do_not_depend_on_the_number_of_threads() {
        let (x, weight, grad_out) = (numbers(300 * 61, 8), numbers(61, 9), numbers(300 * 61, 10));
        let run = |threads| {
            let (mut grad_x, mut grad_weight) = (vec![0.0; x.len()], vec![0.0; 61]);
            with_threads(threads, || {
                backward(&x, &weight, 1e-6, &grad_out, &mut grad_x, &mut grad_weight).unwrap();
            });
            (bits(&grad_x), bits(&grad_weight))
        };
        assert_eq!(run(1), run(2));
    }

    #[test]
    fn every_instruction_set_agrees() {
        let (x, weight) = (numbers(3 * 61, 11), numbers(61, 12));
        let expected = reference(&wide(&x), &wide(&weight), 1e-6);
        for isa in ISAS {
            let mut out = vec![0.0; x.len()];
            dispatch_on(isa, Forward { x: &x, weight: &weight, eps: 1e-6, out: &mut out });
            assert_close(&out, &expected, 1e-6);
        }
    }

    #[test]
    fn wrong_lengths_are_errors_and_no_rows_are_none() {
        let error = forward(&[0.0; 7], &[0.0; 3], 1e-6, &mut [0.0; 7]).unwrap_err();
        assert_eq!(error, KernelError::BrokenRows { operand: "x", found: 7, width: 3 });
        let error = forward(&[0.0; 6], &[0.0; 3], 1e-6, &mut [0.0; 3]).unwrap_err();
        assert_eq!(error, KernelError::WrongLength { operand: "out", found: 3, expected: 6 });
        assert!(forward(&[], &[], 1e-6, &mut []).is_err());
        forward(&[], &[1.0], 1e-6, &mut []).unwrap();
        let mut grad_weight = [f32::NAN];
        backward(&[], &[1.0], 1e-6, &[], &mut [], &mut grad_weight).unwrap();
        assert_eq!(grad_weight, [0.0]);
    }
}
