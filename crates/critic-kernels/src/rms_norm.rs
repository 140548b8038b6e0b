//! Root mean square layer normalisation (Zhang & Sennrich 2019, arXiv 1910.07467).

use rayon::prelude::*;

use crate::error::{KernelError, check_length, count_rows};
use crate::simd::{Kernel, Simd, dispatch, dot};

/// Rows whose weight gradients are summed together before they join the others.
const ROWS_PER_SUM: usize = 64;
/// Numbers that are worth a task of their own.
const TASK: usize = 1 << 13;
/// Numbers of a row whose products with the weight are held at a time.
const STRIP: usize = 256;

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

/// `x += delta`, then [`forward`] of `x`: a residual connection and the norm after it, in one pass.
///
/// # Shapes
/// `x`, `delta` and `out`: `[n_rows, width]`, `weight`: `[width]`.
///
/// # Errors
/// Where the lengths do not fit; `x` is untouched then.
pub fn add_forward(
    x: &mut [f32],
    delta: &[f32],
    weight: &[f32],
    eps: f32,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let width = weight.len();
    count_rows("x", x.len(), width)?;
    check_length("delta", delta.len(), x.len())?;
    check_length("out", out.len(), x.len())?;
    let rows = (TASK / width).max(1) * width;
    out.par_chunks_mut(rows)
        .zip(x.par_chunks_mut(rows))
        .zip(delta.par_chunks(rows))
        .for_each(|((out, x), delta)| dispatch(AddForward { x, delta, weight, eps, out }));
    Ok(())
}

/// Gradients of [`forward`], added to what `grad_x` and `grad_weight` hold.
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
    let mut sums = vec![0.0; x.len().div_ceil(rows) * width];
    grad_x
        .par_chunks_mut(rows)
        .zip(sums.par_chunks_mut(width))
        .zip(x.par_chunks(rows))
        .zip(grad_out.par_chunks(rows))
        .for_each(|(((grad_x, grad_weight), x), grad_out)| {
            dispatch(Backward { x, weight, eps, grad_out, grad_x, grad_weight });
        });
    for sum in sums.chunks_exact(width) {
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
            normalise(simd, x, self.weight, self.eps, out);
        }
    }
}

#[inline(always)]
fn normalise<S: Simd>(simd: S, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let inverse = inverse_rms(simd, x, eps);
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * inverse * weight;
    }
}

struct AddForward<'a> {
    x: &'a mut [f32],
    delta: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for AddForward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        let rows = self.out.chunks_exact_mut(width).zip(self.x.chunks_exact_mut(width));
        for ((out, x), delta) in rows.zip(self.delta.chunks_exact(width)) {
            x.iter_mut().zip(delta).for_each(|(x, delta)| *x += delta);
            normalise(simd, x, self.weight, self.eps, out);
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
            let shrink = projection(simd, grad_out, self.weight, x) * inverse * inverse;
            let shrink = shrink / width as f32;
            let (weight, grad_weight) = (&self.weight[..width], &mut self.grad_weight[..width]);
            let (grad_x, x, grad_out) = (&mut grad_x[..width], &x[..width], &grad_out[..width]);
            for i in 0..width {
                grad_weight[i] += grad_out[i] * (x[i] * inverse);
                grad_x[i] += (grad_out[i] * weight[i] - x[i] * shrink) * inverse;
            }
        }
    }
}

/// `Σ grad · weight · x`, in an order that depends on the length alone.
#[inline(always)]
fn projection<S: Simd>(simd: S, grad: &[f32], weight: &[f32], x: &[f32]) -> f32 {
    let mut products = [0.0; STRIP];
    let mut sum = 0.0;
    let strips = grad.chunks(STRIP).zip(weight.chunks(STRIP)).zip(x.chunks(STRIP));
    for ((grad, weight), x) in strips {
        let products = &mut products[..x.len()];
        for ((to, grad), weight) in products.iter_mut().zip(grad).zip(weight) {
            *to = grad * weight;
        }
        sum += dot(simd, products, x);
    }
    sum
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
        for (rows, width) in [(1, 1), (3, 7), (67, 5), (2, 33), (1, STRIP + 3)] {
            let (x, weight) = (numbers(rows * width, 3), numbers(width, 4));
            let grad_out = numbers(x.len(), 5);
            let (mut grad_x, mut grad_weight) = (vec![0.0; x.len()], vec![0.0; width]);
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
        let mut grad_weight = [3.0];
        backward(&[], &[1.0], 1e-6, &[], &mut [], &mut grad_weight).unwrap();
        assert_eq!(grad_weight, [3.0]);
        let mut x = [1.0; 4];
        assert!(add_forward(&mut x, &[1.0; 2], &[1.0; 2], 1e-6, &mut [0.0; 4]).is_err());
        assert_eq!(x, [1.0; 4]);
    }

    #[test]
    fn adding_first_equals_the_sum_and_then_the_norm() {
        let (before, delta, weight) = (numbers(50 * 61, 13), numbers(50 * 61, 14), numbers(61, 15));
        let (mut x, mut out) = (before.clone(), vec![f32::NAN; 50 * 61]);
        add_forward(&mut x, &delta, &weight, 1e-6, &mut out).unwrap();
        let sum: Vec<f32> = before.iter().zip(&delta).map(|(x, delta)| x + delta).collect();
        let mut expected = vec![f32::NAN; sum.len()];
        forward(&sum, &weight, 1e-6, &mut expected).unwrap();
        assert_eq!((bits(&x), bits(&out)), (bits(&sum), bits(&expected)));
    }

    #[test]
    fn gradients_are_added_to_those_that_stand_there() {
        let (x, weight, grad_out) = (numbers(3 * 7, 16), numbers(7, 17), numbers(3 * 7, 18));
        let run = |start: f32| {
            let (mut grad_x, mut grad_weight) = (vec![start; 21], vec![start; 7]);
            backward(&x, &weight, 1e-6, &grad_out, &mut grad_x, &mut grad_weight).unwrap();
            [grad_x, grad_weight].concat()
        };
        let expected: Vec<f64> = wide(&run(0.0)).iter().map(|x| x + 2.0).collect();
        assert_close(&run(2.0), &expected, 1e-6);
    }

    #[test]
    fn what_is_not_a_number_stays_in_its_row_and_reaches_the_gradients() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = numbers(2 * 19, 19);
            x[3] = bad;
            let (weight, mut out) = (numbers(19, 20), vec![0.0; 2 * 19]);
            forward(&x, &weight, 1e-6, &mut out).unwrap();
            assert!(out[3].is_nan() && out[19..].iter().all(|x| x.is_finite()));
            let (mut grad_x, mut grad_weight) = (vec![0.0; 2 * 19], vec![0.0; 19]);
            let grad_out = numbers(2 * 19, 21);
            backward(&x, &weight, 1e-6, &grad_out, &mut grad_x, &mut grad_weight).unwrap();
            assert!(grad_x[3].is_nan() && grad_weight[3].is_nan());
            assert!(grad_x[19..].iter().all(|x| x.is_finite()));
        }
    }
}
