//! A row of logits: its normaliser, and its gradient in its place.

use super::Target;
use crate::simd::{Kernel, Simd, exp, max, sum};

/// Numbers whose sum is taken in `f32`; such sums are added in `f64`.
pub(super) const SUM_LENGTH: usize = 1024;

/// Turns logits into `exp(logit − greatest)`.
pub(super) struct LogSumExp<'a> {
    pub(super) logits: &'a mut [f32],
}

/// `Σ exp(logit)`, as the greatest logit and `Σ exp(logit − greatest)`.
pub(super) struct Sum {
    greatest: f32,
    total: f64,
}

impl Sum {
    pub(super) fn log_sum_exp(&self) -> f64 {
        self.total.ln() + f64::from(self.greatest)
    }
}

impl Kernel for LogSumExp<'_> {
    type Output = Sum;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Sum {
        let greatest = max(simd, self.logits);
        let mut total = 0.0f64;
        for logits in self.logits.chunks_mut(SUM_LENGTH) {
            for logit in logits.iter_mut() {
                *logit = exp(simd, *logit - greatest);
            }
            total += f64::from(sum(simd, logits));
        }
        Sum { greatest, total }
    }
}

/// Turns logits into the gradient of `loss_weight · Σ nll` over the row's targets; gives
/// `ln Σ exp(logit)`.
pub(super) struct Gradient<'a> {
    pub(super) logits: &'a mut [f32],
    pub(super) targets: &'a [Target],
    pub(super) loss_weight: f32,
}

impl Kernel for Gradient<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { logits, targets, loss_weight } = self;
        let sum = LogSumExp { logits }.run(simd);
        let scale = (f64::from(loss_weight) * targets.len() as f64 / sum.total) as f32;
        logits.iter_mut().for_each(|p| *p *= scale);
        for target in targets {
            logits[target.token as usize] -= loss_weight;
        }
        sum.log_sum_exp()
    }
}
