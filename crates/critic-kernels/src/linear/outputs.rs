//! The outputs of a linear layer, some at a time.

use std::cell::Cell;
use std::ops::Range;

use super::Update;
use crate::error::KernelError;
use crate::matmul::{Out, product};
use crate::quantized;

/// Outputs at a time: about as many as gemm sums up in one go, so that their rows of the weight stay in the
/// cache.
const AT_ONCE: usize = 512;

/// The fewest outputs of a run where there are several. gemm adds up products of at most 256 results in
/// another order, so a run is as much larger as the whole is.
const FEWEST: usize = 257;

thread_local! {
    /// Rows of a weight in `f32`.
    static ROWS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The outputs in runs, a function of their number alone.
fn runs(n_out: usize) -> impl Iterator<Item = Range<usize>> {
    let n_runs =
        (n_out / AT_ONCE + usize::from(n_out % AT_ONCE >= FEWEST)).max(usize::from(n_out > 0));
    let end = move |run| if run + 1 == n_runs { n_out } else { (run + 1) * AT_ONCE };
    (0..n_runs).map(move |run| run * AT_ONCE..end(run))
}

/// The rows of a weight `[n_out, n_in]`, run by run.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    F32(&'a [f32]),
    Quantized(&'a quantized::Weight),
}

impl Rows<'_> {
    /// Calls `work` with each run of outputs and its rows in `f32`.
    fn each(
        self,
        [n_out, n_in]: [usize; 2],
        mut work: impl FnMut(Range<usize>, &[f32]),
    ) -> Result<(), KernelError> {
        match self {
            Rows::F32(weight) => {
                for run in runs(n_out) {
                    let rows = &weight[run.start * n_in..run.end * n_in];
                    work(run, rows);
                }
                Ok(())
            }
            Rows::Quantized(weight) => {
                let mut room = ROWS.take();
                let done = runs(n_out).try_for_each(|run| {
                    let len = run.len() * n_in;
                    if room.len() < len {
                        room = vec![0.0; len];
                    }
                    weight.dequantize(run.clone(), &mut room[..len])?;
                    work(run, &room[..len]);
                    Ok(())
                });
                ROWS.set(room);
                done
            }
        }
    }
}

/// `y = x · weightᵀ` of a weight whose rows are made as they are needed: the bits that a product with all
/// of them at once has.
pub(super) fn forward(
    [m, k, n]: [usize; 3],
    x: &[f32],
    weight: &quantized::Weight,
    y: &mut [f32],
    update: Update,
) -> Result<(), KernelError> {
    Rows::Quantized(weight).each([n, k], |run, rows| {
        let y = Out { numbers: &mut y[run.start..], stride: n };
        product([m, k, run.len()], x, [k, 1], rows, [1, k], y, update == Update::Add);
    })
}

/// `grad_x = grad_y · weight`, the sum over the outputs run by run, so that its bits do not depend on how
/// the weight is held.
pub(super) fn backward_input(
    [m, k, n]: [usize; 3],
    grad_y: &[f32],
    weight: Rows<'_>,
    grad_x: &mut [f32],
    update: Update,
) -> Result<(), KernelError> {
    if n == 0 && update == Update::Write {
        grad_x.fill(0.0);
    }
    weight.each([n, k], |run, rows| {
        let adds = update == Update::Add || run.start > 0;
        let (grad_y, grad_x) = (&grad_y[run.start..], Out { numbers: &mut *grad_x, stride: k });
        product([m, run.len(), k], grad_y, [n, 1], rows, [k, 1], grad_x, adds);
    })
}
