//! AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101).

use rayon::prelude::*;

use crate::error::{KernelError, check_length};
use crate::simd::{Kernel, Simd, dispatch};

/// Numbers of a parallel piece of work.
const CHUNK: usize = 1 << 14;

/// The optimizer's settings, in the meaning of `torch.optim.AdamW`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// The step's length.
    pub learning_rate: f32,
    /// How much of the first moment stays, in `[0, 1)`.
    pub beta1: f32,
    /// How much of the second moment stays, in `[0, 1)`.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// The weight shrinks by `learning_rate · weight_decay` a step.
    pub weight_decay: f32,
}

/// One step for one parameter; weight and both moments are updated in place.
///
/// `grad` is multiplied by `grad_scale` first (1 where the gradient was not clipped).
/// `step` counts from 1.
///
/// # Errors
/// Where the lengths differ, or `step` is 0.
pub fn step(
    config: &AdamW,
    step: u64,
    grad_scale: f32,
    weight: &mut [f32],
    grad: &[f32],
    first_moment: &mut [f32],
    second_moment: &mut [f32],
) -> Result<(), KernelError> {
    if step == 0 {
        return Err(KernelError::InvalidSize { operand: "step", found: 0, rule: "at least 1" });
    }
    check_length("grad", grad.len(), weight.len())?;
    check_length("first_moment", first_moment.len(), weight.len())?;
    check_length("second_moment", second_moment.len(), weight.len())?;
    let step = Step::new(config, step, grad_scale);
    weight
        .par_chunks_mut(CHUNK)
        .zip(grad.par_chunks(CHUNK))
        .zip(first_moment.par_chunks_mut(CHUNK))
        .zip(second_moment.par_chunks_mut(CHUNK))
        .for_each(|(((weight, grad), first), second)| {
            dispatch(Update { step, weight, grad, first, second });
        });
    Ok(())
}

/// The sum of squares in `f64`, in an order that depends on the length alone.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let parts: Vec<f64> = x.par_chunks(CHUNK).map(|x| dispatch(SumOfSquares(x))).collect();
    parts.iter().sum()
}

/// A step's factors, equal for all numbers.
#[derive(Clone, Copy)]
struct Step {
    grad_scale: f32,
    beta2: f32,
    new1: f32,
    new2: f32,
    /// The learning rate over the first moment's bias correction.
    length: f32,
    /// 1 over the root of the second moment's bias correction.
    root_scale: f32,
    epsilon: f32,
    decay: f32,
}

impl Step {
    fn new(config: &AdamW, step: u64, grad_scale: f32) -> Self {
        let (beta1, beta2) = (f64::from(config.beta1), f64::from(config.beta2));
        let learning_rate = f64::from(config.learning_rate);
        Self {
            grad_scale,
            beta2: config.beta2,
            new1: (1.0 - beta1) as f32,
            new2: (1.0 - beta2) as f32,
            length: (learning_rate / (1.0 - beta1.powf(step as f64))) as f32,
            root_scale: (1.0 / (1.0 - beta2.powf(step as f64)).sqrt()) as f32,
            epsilon: config.epsilon,
            decay: (1.0 - learning_rate * f64::from(config.weight_decay)) as f32,
        }
    }
}

struct Update<'a> {
    step: Step,
    weight: &'a mut [f32],
    grad: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (step, n) = (self.step, self.grad.len());
        let (weight, grad) = (&mut self.weight[..n], &self.grad[..n]);
        let (first, second) = (&mut self.first[..n], &mut self.second[..n]);
        for i in 0..n {
            let g = grad[i] * step.grad_scale;
            first[i] = simd.mul_add_number(g - first[i], step.new1, first[i]);
            second[i] = simd.mul_add_number(second[i], step.beta2, g * g * step.new2);
            let root = simd.mul_add_number(second[i].sqrt(), step.root_scale, step.epsilon);
            weight[i] = weight[i] * step.decay - step.length * first[i] / root;
        }
    }
}

struct SumOfSquares<'a>(&'a [f32]);

impl Kernel for SumOfSquares<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let (blocks, rest) = self.0.as_chunks::<16>();
        let mut sums = [0.0f64; 16];
        for block in blocks {
            for i in 0..16 {
                sums[i] += f64::from(block[i]) * f64::from(block[i]);
            }
        }
        let rest: f64 = rest.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        sums.iter().sum::<f64>() + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, bits, numbers, wide, with_threads};

    const CONFIG: AdamW =
        AdamW { learning_rate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };

    #[test]
    fn five_steps_equal_a_plain_loop() {
        for n in [1, 7, 61, CHUNK + 3] {
            let mut weight = numbers(n, 1);
            let mut expected = wide(&weight);
            let (mut first, mut second) = (vec![0.0; n], vec![0.0; n]);
            let (mut m, mut v) = (vec![0.0f64; n], vec![0.0f64; n]);
            let [rate, beta1, beta2, epsilon, decay] = [
                CONFIG.learning_rate,
                CONFIG.beta1,
                CONFIG.beta2,
                CONFIG.epsilon,
                CONFIG.weight_decay,
            ]
            .map(f64::from);
            for t in 1..=5u64 {
                let grad = numbers(n, 10 + t);
                step(&CONFIG, t, 0.5, &mut weight, &grad, &mut first, &mut second).unwrap();
                for i in 0..n {
                    let g = f64::from(grad[i]) * 0.5;
                    expected[i] *= 1.0 - rate * decay;
                    m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                    v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                    let m = m[i] / (1.0 - beta1.powi(t as i32));
                    let v = v[i] / (1.0 - beta2.powi(t as i32));
                    expected[i] -= rate * m / (v.sqrt() + epsilon);
                }
            }
            assert_close(&weight, &expected, 1e-6);
            assert_close(&first, &m, 1e-6);
            assert_close(&second, &v, 1e-6);
        }
    }

    #[test]
    fn a_weight_without_gradient_only_decays() {
        let (mut weight, mut first, mut second) = ([2.0], [0.0], [0.0]);
        step(&CONFIG, 1, 1.0, &mut weight, &[0.0], &mut first, &mut second).unwrap();
        assert_close(&weight, &[2.0 * (1.0 - 1e-3)], 1e-7);
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let n = 5 * CHUNK + 1;
        let (grad, start) = (numbers(n, 2), numbers(n, 3));
        let run = |threads| {
            let (mut weight, mut first, mut second) = (start.clone(), vec![0.0; n], vec![0.0; n]);
            with_threads(threads, || {
                step(&CONFIG, 1, 1.0, &mut weight, &grad, &mut first, &mut second).unwrap();
                (bits(&weight), sum_of_squares(&grad).to_bits())
            })
        };
        assert_eq!(run(1), run(2));
    }

    #[test]
    fn squares_are_summed_in_double_precision() {
        assert_eq!(sum_of_squares(&[]), 0.0);
        assert_eq!(sum_of_squares(&[1e25, 1.0]), f64::from(1e25f32).powi(2));
        for n in [1, 15, 33, 3 * CHUNK + 7] {
            let x = numbers(n, 4);
            let expected: f64 = wide(&x).iter().map(|x| x * x).sum();
            assert!((sum_of_squares(&x) - expected).abs() <= 1e-12 * expected);
        }
    }

    #[test]
    fn wrong_lengths_and_step_zero_are_errors() {
        let mut x = [[0.0; 2]; 3];
        let [weight, first, second] = &mut x;
        assert!(step(&CONFIG, 0, 1.0, weight, &[0.0; 2], first, second).is_err());
        assert!(step(&CONFIG, 1, 1.0, weight, &[0.0; 3], first, second).is_err());
        assert!(step(&CONFIG, 1, 1.0, weight, &[0.0; 2], &mut first[..1], second).is_err());
    }
}
