//! A row of logits as sampling reads it.

use crate::simd::{Kernel, Simd, dispatch, exp, max, sum};

/// Numbers whose sum is taken in `f32`; such sums are added in `f64`.
const SUM_LENGTH: usize = 256;

/// The greatest logit; none where there are none or one of them is NaN.
pub fn greatest(logits: &[f32]) -> Option<f32> {
    dispatch(Greatest { logits })
}

/// `Σ exp(scale · (logit − greatest))`, to 1e-6 of its value.
///
/// `scale` is the inverse of a temperature; `greatest` is finite and no logit is above it. NaN where
/// a logit is.
pub fn exp_sum(logits: &[f32], greatest: f32, scale: f32) -> f64 {
    dispatch(ExpSum { logits, greatest, scale })
}

struct Greatest<'a> {
    logits: &'a [f32],
}

impl Kernel for Greatest<'_> {
    type Output = Option<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<f32> {
        let has_nan = self.logits.iter().fold(false, |found, logit| found | logit.is_nan());
        (!has_nan && !self.logits.is_empty()).then(|| max(simd, self.logits))
    }
}

struct ExpSum<'a> {
    logits: &'a [f32],
    greatest: f32,
    scale: f32,
}

impl Kernel for ExpSum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { logits, greatest, scale } = self;
        let mut weights = [0.0; SUM_LENGTH];
        let mut total = 0.0;
        for logits in logits.chunks(SUM_LENGTH) {
            let weights = &mut weights[..logits.len()];
            for (weight, logit) in weights.iter_mut().zip(logits) {
                *weight = exp(simd, scale * (logit - greatest));
            }
            total += f64::from(sum(simd, weights));
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::dispatch_on;
    use crate::testing::{ISAS, numbers};

    #[test]
    fn the_sum_is_that_of_f64_on_every_instruction_set() {
        for n in [1, 7, 255, 256, 1000, 49_152] {
            let logits: Vec<f32> = numbers(n, n as u64).iter().map(|x| 20.0 * x).collect();
            let greatest = greatest(&logits).unwrap();
            assert!(logits.iter().all(|&logit| logit <= greatest) && logits.contains(&greatest));
            for scale in [0.5, 1.0, 1.0 / 0.9, 30.0] {
                let term = |&x: &f32| (f64::from(scale) * f64::from(x - greatest)).exp();
                let expected: f64 = logits.iter().map(term).sum();
                for isa in ISAS {
                    let found = dispatch_on(isa, ExpSum { logits: &logits, greatest, scale });
                    assert!((found - expected).abs() < 1e-6 * expected, "{isa:?} {n} {scale}");
                }
            }
        }
    }

    #[test]
    fn odd_logits_are_told_apart() {
        let low = [f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY];
        assert_eq!(greatest(&low), Some(1.0));
        assert_eq!(exp_sum(&low, 1.0, f32::MAX), 1.0);
        assert_eq!(greatest(&[]), None);
        assert_eq!(greatest(&[f32::NEG_INFINITY; 3]), Some(f32::NEG_INFINITY));
        for at in 0..20 {
            let mut logits = [0.5; 20];
            logits[at] = f32::NAN;
            assert_eq!(greatest(&logits), None);
            assert!(exp_sum(&logits, 0.5, 1.0).is_nan());
        }
    }
}
