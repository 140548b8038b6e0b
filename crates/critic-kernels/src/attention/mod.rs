//! Forest attention: a query sees the keys of its own path, and no others.
//!
//! Softmax attention as in Vaswani et al. 2017 (arXiv 1706.03762) with grouped heads (Ainslie et
//! al. 2023, arXiv 2305.13245), a block of keys after the other with a running maximum (Milakov &
//! Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135).
//! Blocks are counted from the start of the path, so a query's arithmetic is the same wherever
//! its keys are stored and whoever shares them.

mod backward;
mod forward;
mod gradients;
mod plan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::error::{KernelError, check_length};
use plan::Plan;

/// Heads and their width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; each serves `n_heads / n_kv_heads` query heads in a row.
    pub n_kv_heads: usize,
    /// The width of a head.
    pub head_dim: usize,
    /// Multiplies the products of queries and keys, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// How many keys a query sees at most: the last ones of its path, its own included; all if absent.
    pub window: Option<usize>,
    /// Bounds a score `s` to `softcap · tanh(s / softcap)` (Gemma 2, arXiv 2408.00118, §2.1).
    pub softcap: Option<f32>,
}

/// A run of consecutive queries on one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRun {
    /// The run's first row in `q`.
    pub query_start: usize,
    /// The number of its rows.
    pub query_len: usize,
    /// Rows of `k` and `v` that every query of the run sees, in path order.
    pub prefix: Vec<Range<usize>>,
    /// The key row of the run's first query; query `i` also sees `own_start..=own_start + i`.
    pub own_start: usize,
}

/// `softmax(scale · q · kᵀ) · v` over each query's own path, or the last `window` keys of it.
///
/// The bits of a query's result depend on its path's keys in path order alone: neither on how
/// the path is cut into ranges, nor on other runs, nor on the number of threads.
///
/// # Shapes
/// `q`, `out`: `[n_queries, n_heads · head_dim]`, `k`, `v`: `[n_keys, n_kv_heads · head_dim]`,
/// `log_sum_exp`: `[n_queries, n_heads]`, kept for [`backward()`].
///
/// # Errors
/// Where the lengths do not fit, the runs do not partition the queries, or a range leaves the
/// keys.
pub fn forward(
    shape: &AttentionShape,
    runs: &[QueryRun],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &mut [f32],
    log_sum_exp: &mut [f32],
) -> Result<(), KernelError> {
    let plan = Plan::new(shape, runs, q.len(), k.len())?;
    check_length("v", v.len(), k.len())?;
    check_length("out", out.len(), q.len())?;
    check_length("log_sum_exp", log_sum_exp.len(), plan.n_queries * shape.n_heads)?;
    forward::run(&plan, q, k, v, out, log_sum_exp);
    Ok(())
}

/// Gradients of [`forward()`]; all three are overwritten.
///
/// The probabilities are computed again from `log_sum_exp`.
///
/// # Shapes
/// As [`forward()`]; each gradient has its operand's shape.
///
/// # Errors
/// As [`forward()`], and where a path holds a key twice.
pub fn backward(
    shape: &AttentionShape,
    runs: &[QueryRun],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &[f32],
    log_sum_exp: &[f32],
    grad_out: &[f32],
    grad_q: &mut [f32],
    grad_k: &mut [f32],
    grad_v: &mut [f32],
) -> Result<(), KernelError> {
    let plan = Plan::new(shape, runs, q.len(), k.len())?;
    check_length("v", v.len(), k.len())?;
    check_length("out", out.len(), q.len())?;
    check_length("log_sum_exp", log_sum_exp.len(), plan.n_queries * shape.n_heads)?;
    check_length("grad_out", grad_out.len(), q.len())?;
    check_length("grad_q", grad_q.len(), q.len())?;
    check_length("grad_k", grad_k.len(), k.len())?;
    check_length("grad_v", grad_v.len(), k.len())?;
    plan.check_distinct_keys()?;
    let saved = backward::Saved { q, k, v, out, log_sum_exp, grad_out };
    backward::run(&plan, &saved, grad_q, grad_k, grad_v, backward::WAITING);
    Ok(())
}
