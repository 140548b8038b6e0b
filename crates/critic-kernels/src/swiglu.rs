//! The gated activation `silu(gate) · up` (Shazeer 2020, arXiv 2002.05202).

use rayon::prelude::*;

use crate::error::{KernelError, check_length};
use crate::simd::{Kernel, Simd, dispatch, exp};

/// Numbers of a piece of work.
const CHUNK: usize = 1 << 13;

/// `out = silu(gate) · up`, number by number, with `silu(x) = x / (1 + e⁻ˣ)`.
///
/// # Errors
/// Where the lengths differ.
pub fn forward(gate: &[f32], up: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    check_length("up", up.len(), gate.len())?;
    check_length("out", out.len(), gate.len())?;
    out.par_chunks_mut(CHUNK)
        .zip(gate.par_chunks(CHUNK))
        .zip(up.par_chunks(CHUNK))
        .for_each(|((out, gate), up)| dispatch(Forward { gate, up, out }));
    Ok(())
}

/// Gradients of [`forward`], each in the place of an operand.
///
/// On return `gate` holds the gradient of the gate, `up` that of `up`, and `grad_inner`, which
/// comes with the gradient of the result, holds the result itself: the operand of the projection
/// that follows, whose weight's gradient needs it.
///
/// # Errors
/// Where the lengths differ.
pub fn backward_in_place(
    gate: &mut [f32],
    up: &mut [f32],
    grad_inner: &mut [f32],
) -> Result<(), KernelError> {
    check_length("up", up.len(), gate.len())?;
    check_length("grad_inner", grad_inner.len(), gate.len())?;
    gate.par_chunks_mut(CHUNK)
        .zip(up.par_chunks_mut(CHUNK))
        .zip(grad_inner.par_chunks_mut(CHUNK))
        .for_each(|((gate, up), grad_inner)| dispatch(Backward { gate, up, grad_inner }));
    Ok(())
}

#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: f32) -> f32 {
    1.0 / (1.0 + exp(simd, -x))
}

struct Forward<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for ((out, gate), up) in self.out.iter_mut().zip(self.gate).zip(self.up) {
            *out = gate * sigmoid(simd, *gate) * up;
        }
    }
}

struct Backward<'a> {
    gate: &'a mut [f32],
    up: &'a mut [f32],
    grad_inner: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let n = self.gate.len();
        let (gates, ups, inner) = (self.gate, &mut self.up[..n], &mut self.grad_inner[..n]);
        for i in 0..n {
            let (gate, up, grad) = (gates[i], ups[i], inner[i]);
            let sigmoid = sigmoid(simd, gate);
            let silu = gate * sigmoid;
            gates[i] = grad * up * sigmoid * (1.0 + gate * (1.0 - sigmoid));
            ups[i] = grad * silu;
            inner[i] = silu * up;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::dispatch_on;
    use crate::testing::{ISAS, assert_close, bits, differences, numbers, wide, with_threads};

    fn reference(gate: &[f64], up: &[f64]) -> Vec<f64> {
        gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect()
    }

    fn scaled(n: usize, scale: f32, seed: u64) -> Vec<f32> {
        numbers(n, seed).into_iter().map(|x| x * scale).collect()
    }

    #[test]
    fn forward_equals_the_formula() {
        for n in [0, 1, 7, 16, 61, CHUNK + 3] {
            for scale in [1e-30, 1.0, 80.0, 1e4] {
                let (gate, up) = (scaled(n, scale, 1), numbers(n, 2));
                let mut out = vec![f32::NAN; n];
                forward(&gate, &up, &mut out).unwrap();
                assert_close(&out, &reference(&wide(&gate), &wide(&up)), 1e-6);
            }
        }
    }

    #[test]
    fn backward_equals_finite_differences() {
        for (n, scale) in [(1, 1.0), (61, 1.0), (61, 10.0), (61, 80.0)] {
            let (gate, up, grad_out) = (scaled(n, scale, 3), numbers(n, 4), numbers(n, 5));
            let (mut grad_gate, mut grad_up, mut inner) =
                (gate.clone(), up.clone(), grad_out.clone());
            backward_in_place(&mut grad_gate, &mut grad_up, &mut inner).unwrap();
            let mut expected = vec![f32::NAN; n];
            forward(&gate, &up, &mut expected).unwrap();
            assert_eq!(bits(&inner), bits(&expected));
            let loss = |gate: &[f64], up: &[f64]| -> f64 {
                reference(gate, up).iter().zip(&grad_out).map(|(x, g)| x * f64::from(*g)).sum()
            };
            assert_close(&grad_gate, &differences(&gate, |gate| loss(gate, &wide(&up))), 1e-4);
            assert_close(&grad_up, &differences(&up, |up| loss(&wide(&gate), up)), 1e-4);
        }
    }

    #[test]
    fn extreme_gates_give_finite_numbers() {
        let gate = [80.0, -80.0, 1e4, -1e4, 1e-30, -1e-30, 0.0];
        let (mut out, mut grad_gate, mut grad_up) = ([1.0; 7], gate, [1.0; 7]);
        backward_in_place(&mut grad_gate, &mut grad_up, &mut out).unwrap();
        assert_eq!((out[0], out[2], out[6]), (80.0, 1e4, 0.0));
        assert_eq!((grad_gate[0], grad_gate[2], grad_gate[6]), (1.0, 1.0, 0.5));
        for x in [out, grad_gate, grad_up] {
            assert!(x.iter().all(|x| x.is_finite()));
            assert!(x[1].abs() < 1e-30 && x[3].abs() < 1e-30);
        }
    }

    #[test]
    fn every_instruction_set_and_number_of_threads_agrees() {
        let n = 2 * CHUNK + 5;
        let (gate, up) = (scaled(n, 5.0, 6), numbers(n, 7));
        let expected = reference(&wide(&gate), &wide(&up));
        for isa in ISAS {
            let mut out = vec![0.0; n];
            dispatch_on(isa, Forward { gate: &gate, up: &up, out: &mut out });
            assert_close(&out, &expected, 1e-6);
        }
        let run = |threads| {
            let mut out = vec![0.0; n];
            with_threads(threads, || forward(&gate, &up, &mut out).unwrap());
            bits(&out)
        };
        assert_eq!(run(1), run(2));
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let error = forward(&[0.0; 2], &[0.0; 3], &mut [0.0; 2]).unwrap_err();
        assert_eq!(error, KernelError::WrongLength { operand: "up", found: 3, expected: 2 });
        assert!(forward(&[0.0; 2], &[0.0; 2], &mut [0.0; 1]).is_err());
        assert!(backward_in_place(&mut [0.0; 2], &mut [0.0; 2], &mut [0.0; 1]).is_err());
        assert!(backward_in_place(&mut [0.0; 2], &mut [0.0; 1], &mut [0.0; 2]).is_err());
    }

    #[test]
    fn what_is_not_finite_does_not_become_a_number() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (mut gate, mut up, mut inner) = ([bad; 3], [1.0; 3], [1.0; 3]);
            backward_in_place(&mut gate, &mut up, &mut inner).unwrap();
            assert!([gate, up, inner].iter().flatten().all(|x| !x.is_finite()), "{bad}");
        }
    }
}
