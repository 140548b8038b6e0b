//! The language-model head fused with its cross entropy.
//!
//! The logits are computed a chunk of rows at a time, so `[n_targets, vocabulary]` never exists.

use rayon::prelude::*;

use crate::error::{KernelError, check_length, count_rows};
use crate::matmul::product;
use crate::simd::{Kernel, Simd, dispatch, exp, max, sum};

/// Logits held at a time.
const CHUNK_LOGITS: usize = 1 << 24;

/// `Σᵢ row_weightᵢ · nllᵢ` in nats; each row's negative log likelihood is written to `nll`.
///
/// # Shapes
/// `hidden`: `[n_targets, d]`, `weight`: `[vocabulary, d]`, the others: `[n_targets]`.
///
/// # Errors
/// Where the lengths do not fit, or a target is no row of `weight`.
pub fn forward(
    hidden: &[f32],
    weight: &[f32],
    d: usize,
    targets: &[u32],
    row_weight: &[f32],
    nll: &mut [f32],
) -> Result<f64, KernelError> {
    let vocabulary = check(hidden, weight, d, targets, row_weight, nll)?;
    let rows = chunk_rows(vocabulary);
    let mut logits = vec![0.0; rows.min(targets.len()) * vocabulary];
    for start in (0..targets.len()).step_by(rows) {
        let n = rows.min(targets.len() - start);
        let logits = &mut logits[..n * vocabulary];
        let hidden = &hidden[start * d..(start + n) * d];
        product([n, d, vocabulary], hidden, [d, 1], weight, [1, d], logits, false);
        logits
            .par_chunks_mut(vocabulary)
            .zip(&mut nll[start..start + n])
            .zip(&targets[start..start + n])
            .for_each(|((row, nll), &target)| {
                *nll = dispatch(Softmax { logits: row, target: target as usize }).nll;
            });
    }
    Ok(weighted_sum(nll, row_weight))
}

/// As [`forward`], with the gradients of that weighted sum; both are overwritten.
///
/// # Shapes
/// As [`forward`]; `grad_hidden` as `hidden`, `grad_weight` as `weight`.
///
/// # Errors
/// Where the lengths do not fit, or a target is no row of `weight`.
pub fn forward_backward(
    hidden: &[f32],
    weight: &[f32],
    d: usize,
    targets: &[u32],
    row_weight: &[f32],
    nll: &mut [f32],
    grad_hidden: &mut [f32],
    grad_weight: &mut [f32],
) -> Result<f64, KernelError> {
    let vocabulary = check(hidden, weight, d, targets, row_weight, nll)?;
    check_length("grad_hidden", grad_hidden.len(), hidden.len())?;
    check_length("grad_weight", grad_weight.len(), weight.len())?;
    let rows = chunk_rows(vocabulary);
    let mut logits = vec![0.0; rows.min(targets.len()) * vocabulary];
    if targets.is_empty() {
        grad_weight.fill(0.0);
    }
    for start in (0..targets.len()).step_by(rows) {
        let n = rows.min(targets.len() - start);
        let logits = &mut logits[..n * vocabulary];
        let chunk = start * d..(start + n) * d;
        product([n, d, vocabulary], &hidden[chunk.clone()], [d, 1], weight, [1, d], logits, false);
        logits
            .par_chunks_mut(vocabulary)
            .zip(&mut nll[start..start + n])
            .zip(&targets[start..start + n])
            .zip(&row_weight[start..start + n])
            .for_each(|(((row, nll), &target), &row_weight)| {
                let target = target as usize;
                *nll = dispatch(Gradient { logits: row, target, row_weight });
            });
        let grad_hidden = &mut grad_hidden[chunk.clone()];
        product([n, vocabulary, d], logits, [vocabulary, 1], weight, [d, 1], grad_hidden, false);
        let hidden = &hidden[chunk];
        product(
            [vocabulary, n, d],
            logits,
            [1, vocabulary],
            hidden,
            [d, 1],
            grad_weight,
            start > 0,
        );
    }
    Ok(weighted_sum(nll, row_weight))
}

fn check(
    hidden: &[f32],
    weight: &[f32],
    d: usize,
    targets: &[u32],
    row_weight: &[f32],
    nll: &[f32],
) -> Result<usize, KernelError> {
    let vocabulary = count_rows("weight", weight.len(), d)?;
    check_length("hidden", hidden.len(), targets.len() * d)?;
    check_length("row_weight", row_weight.len(), targets.len())?;
    check_length("nll", nll.len(), targets.len())?;
    for (index, &target) in targets.iter().enumerate() {
        if target as usize >= vocabulary {
            return Err(KernelError::OutOfRange {
                operand: "targets",
                index,
                found: target as usize,
                limit: vocabulary,
            });
        }
    }
    Ok(vocabulary)
}

/// Rows of a chunk: a function of the vocabulary alone, so the sums have one order.
fn chunk_rows(vocabulary: usize) -> usize {
    (CHUNK_LOGITS / vocabulary.max(1)).clamp(16, 512)
}

/// Numbers whose sum is taken in `f32`; such sums are added in `f64`.
const SUM_LENGTH: usize = 1024;

/// Turns logits into `exp(logit − max)`.
struct Softmax<'a> {
    logits: &'a mut [f32],
    target: usize,
}

/// What is left of a row of logits.
struct SoftmaxSum {
    nll: f32,
    sum: f32,
}

impl Kernel for Softmax<'_> {
    type Output = SoftmaxSum;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> SoftmaxSum {
        let max = max(simd, self.logits);
        let target_logit = f64::from(self.logits[self.target]);
        let mut total = 0.0f64;
        for logits in self.logits.chunks_mut(SUM_LENGTH) {
            for logit in logits.iter_mut() {
                *logit = exp(simd, *logit - max);
            }
            total += f64::from(sum(simd, logits));
        }
        SoftmaxSum { nll: (total.ln() + f64::from(max) - target_logit) as f32, sum: total as f32 }
    }
}

/// Turns logits into the gradient of the row's weighted nats; gives the nats.
struct Gradient<'a> {
    logits: &'a mut [f32],
    target: usize,
    row_weight: f32,
}

impl Kernel for Gradient<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let Self { logits, target, row_weight } = self;
        let SoftmaxSum { nll, sum } = Softmax { logits, target }.run(simd);
        let scale = row_weight / sum;
        logits.iter_mut().for_each(|p| *p *= scale);
        logits[target] -= row_weight;
        nll
    }
}

fn weighted_sum(nll: &[f32], row_weight: &[f32]) -> f64 {
    nll.iter().zip(row_weight).map(|(nll, w)| f64::from(*nll) * f64::from(*w)).sum()
}

#[cfg(test)]
mod tests;
