//! The language-model head fused with its cross entropy.
//!
//! Logits are computed for the rows that predict something, a chunk of them at a time, so
//! `[n_rows, vocab_size]` never exists. A row may predict several tokens, where continuations of
//! one prefix branch; its logits are computed once.

mod softmax;

use std::ops::Range;

use rayon::prelude::*;

use crate::error::{KernelError, area, check_length};
use crate::linear::{self, Backward, Update, Weight};
use crate::simd::dispatch;
use crate::softcap;
use softmax::{Gradient, LogSumExp};

/// Logits held at a time.
const CHUNK_LOGITS: usize = 1 << 24;

/// A token that a row is to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The row of `hidden`.
    pub row: u32,
    /// The token, a row of the LM head.
    pub token: u32,
}

/// Room for a chunk's logits; it grows to what a call needs and is kept for the next.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    logits: Vec<f32>,
    /// Derivatives of bounded logits with respect to those before, where they are needed.
    slopes: Vec<f32>,
    hidden: Vec<f32>,
    grad_hidden: Vec<f32>,
    rows: Vec<Row>,
}

/// A row of a chunk.
#[derive(Debug, Clone)]
struct Row {
    /// Its place in `hidden`.
    row: usize,
    /// Its targets.
    targets: Range<usize>,
    log_sum_exp: f64,
}

/// `Σ −ln P(token | row)` over the targets in nats; each target's own goes to `nll`.
///
/// With a `softcap` the logits are bounded, see [`softcap`].
///
/// # Shapes
/// `hidden`: `[n_rows, d_model]`, `lm_head`: `[vocab_size, d_model]`, `nll`: `[n_targets]`, with
/// `sizes` = `[n_rows, d_model, vocab_size]`. The targets' rows do not decrease.
///
/// # Errors
/// Where the lengths do not fit, a row or a token is out of range, or the rows decrease.
pub fn forward(
    sizes: [usize; 3],
    hidden: &[f32],
    lm_head: Weight<'_>,
    softcap: Option<f32>,
    targets: &[Target],
    nll: &mut [f32],
    scratch: &mut Scratch,
) -> Result<f64, KernelError> {
    check(sizes, hidden, targets, nll)?;
    let [.., vocab_size] = sizes;
    let mut done = 0;
    while done < targets.len() {
        done = scratch.make_logits(sizes, hidden, lm_head, (softcap, false), targets, done, nll)?;
        scratch.logits.par_chunks_mut(vocab_size).zip(&mut scratch.rows).for_each(
            |(logits, row)| row.log_sum_exp = dispatch(LogSumExp { logits }).log_sum_exp(),
        );
        scratch.write_nll(nll);
    }
    Ok(nll.iter().copied().map(f64::from).sum())
}

/// As [`forward`], with the gradients of `loss_weight` times that sum.
///
/// `grad_hidden` is overwritten (rows without a target get zeros), `grad_lm_head` is added to,
/// or not worked out where there is none.
///
/// # Shapes
/// As [`forward`]; `grad_hidden` as `hidden`, `grad_lm_head` as `lm_head`.
///
/// # Errors
/// As [`forward`].
pub fn forward_backward(
    sizes: [usize; 3],
    hidden: &[f32],
    lm_head: Weight<'_>,
    softcap: Option<f32>,
    targets: &[Target],
    loss_weight: f32,
    nll: &mut [f32],
    grad_hidden: &mut [f32],
    mut grad_lm_head: Option<&mut [f32]>,
    scratch: &mut Scratch,
) -> Result<f64, KernelError> {
    check(sizes, hidden, targets, nll)?;
    let [_, d_model, vocab_size] = sizes;
    check_length("grad_hidden", grad_hidden.len(), hidden.len())?;
    if let Some(grad) = &grad_lm_head {
        check_length("grad_lm_head", grad.len(), area(vocab_size, d_model))?;
    }
    grad_hidden.fill(0.0);
    let mut done = 0;
    while done < targets.len() {
        done = scratch.make_logits(sizes, hidden, lm_head, (softcap, true), targets, done, nll)?;
        scratch.logits.par_chunks_mut(vocab_size).zip(&mut scratch.rows).for_each(
            |(logits, row)| {
                let targets = &targets[row.targets.clone()];
                row.log_sum_exp = dispatch(Gradient { logits, targets, loss_weight });
            },
        );
        if softcap.is_some() {
            let gradients = scratch.logits.par_chunks_mut(vocab_size);
            gradients.zip(scratch.slopes.par_chunks(vocab_size)).for_each(|(gradients, slopes)| {
                gradients.iter_mut().zip(slopes).for_each(|(gradient, slope)| *gradient *= slope);
            });
        }
        scratch.write_nll(nll);
        let chunk = [scratch.rows.len(), d_model, vocab_size];
        let Scratch { logits: grad_y, hidden: x, grad_hidden: grad_x, .. } = &mut *scratch;
        let (sizes, precision, update) = (chunk, lm_head.precision(), Update::Write);
        let of_head = grad_lm_head.as_deref_mut().map(|grad_weight| Backward::Weight {
            precision,
            sizes,
            grad_y,
            x,
            grad_weight,
        });
        let of_hidden = Backward::Input { sizes, grad_y, weight: lm_head, grad_x, update };
        linear::backward([of_hidden].into_iter().chain(of_head))?;
        scratch.scatter(d_model, grad_hidden);
    }
    Ok(nll.iter().copied().map(f64::from).sum())
}

impl Scratch {
    /// Makes the logits of a chunk, of the rows of the targets from `first` on, and puts each
    /// target's logit into `nll`; gives the first target of the next chunk.
    fn make_logits(
        &mut self,
        sizes @ [_, d_model, vocab_size]: [usize; 3],
        hidden: &[f32],
        lm_head: Weight<'_>,
        (softcap, keep_slopes): (Option<f32>, bool),
        targets: &[Target],
        first: usize,
        nll: &mut [f32],
    ) -> Result<usize, KernelError> {
        let next = self.gather(targets, first, sizes, hidden);
        let chunk = [self.rows.len(), d_model, vocab_size];
        linear::forward(chunk, &self.hidden, lm_head, &mut self.logits, Update::Write)?;
        match softcap {
            Some(cap) if keep_slopes => {
                self.slopes.resize(self.logits.len(), 0.0);
                softcap::forward_with_slopes(&mut self.logits, cap, &mut self.slopes);
            }
            Some(cap) => softcap::forward_in_place(&mut self.logits, cap),
            None => {}
        }
        for (row, logits) in self.rows.iter().zip(self.logits.chunks_exact(vocab_size)) {
            for index in row.targets.clone() {
                nll[index] = logits[targets[index].token as usize];
            }
        }
        Ok(next)
    }

    /// Takes the rows of a chunk from `hidden`, those of the targets from `first` on; gives the
    /// first target of the next chunk.
    fn gather(
        &mut self,
        targets: &[Target],
        first: usize,
        [_, d_model, vocab_size]: [usize; 3],
        hidden: &[f32],
    ) -> usize {
        let most = chunk_rows(vocab_size);
        self.rows.clear();
        self.hidden.clear();
        for (index, target) in targets.iter().enumerate().skip(first) {
            let row = target.row as usize;
            if let Some(last) = self.rows.last_mut().filter(|last| last.row == row) {
                last.targets.end = index + 1;
                continue;
            }
            if self.rows.len() == most {
                break;
            }
            self.rows.push(Row { row, targets: index..index + 1, log_sum_exp: 0.0 });
            self.hidden.extend_from_slice(&hidden[row * d_model..][..d_model]);
        }
        self.logits.resize(self.rows.len() * vocab_size, 0.0);
        self.grad_hidden.resize(self.hidden.len(), 0.0);
        self.rows.last().map_or(first, |row| row.targets.end)
    }

    /// Turns every target's logit into its nats.
    fn write_nll(&self, nll: &mut [f32]) {
        for row in &self.rows {
            for nll in &mut nll[row.targets.clone()] {
                *nll = (row.log_sum_exp - f64::from(*nll)) as f32;
            }
        }
    }

    /// Puts the chunk's gradients to their places.
    fn scatter(&self, d_model: usize, grad_hidden: &mut [f32]) {
        for (at, row) in self.rows.iter().enumerate() {
            let from = &self.grad_hidden[at * d_model..][..d_model];
            grad_hidden[row.row * d_model..][..d_model].copy_from_slice(from);
        }
    }
}

fn check(
    [n_rows, d_model, vocab_size]: [usize; 3],
    hidden: &[f32],
    targets: &[Target],
    nll: &[f32],
) -> Result<(), KernelError> {
    check_length("hidden", hidden.len(), area(n_rows, d_model))?;
    check_length("nll", nll.len(), targets.len())?;
    let mut before = 0;
    for (index, &Target { row, token }) in targets.iter().enumerate() {
        let found = row as usize;
        if found >= n_rows {
            let operand = "rows of targets";
            return Err(KernelError::OutOfRange { operand, index, found, limit: n_rows });
        }
        if found < before {
            return Err(KernelError::Decreasing {
                operand: "rows of targets",
                index,
                found,
                before,
            });
        }
        before = found;
        let found = token as usize;
        if found >= vocab_size {
            let operand = "tokens of targets";
            return Err(KernelError::OutOfRange { operand, index, found, limit: vocab_size });
        }
    }
    Ok(())
}

/// Rows of a chunk: a function of the vocabulary alone, so the sums have one order.
fn chunk_rows(vocab_size: usize) -> usize {
    (CHUNK_LOGITS / vocab_size.max(1)).clamp(16, 512)
}

#[cfg(test)]
mod tests;
