//! Forest attention: a query sees the keys of its own path, and no others.

use std::ops::Range;

use crate::error::{KernelError, check_length, count_rows};

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

/// `softmax(scale · q · kᵀ) · v` over each query's own path.
///
/// The bits of a query's result depend on its path's keys in path order alone: neither on how
/// the path is cut into ranges, nor on other runs, nor on the number of threads.
///
/// # Shapes
/// `q`, `out`: `[n_queries, n_heads · head_dim]`, `k`, `v`: `[n_keys, n_kv_heads · head_dim]`,
/// `log_sum_exp`: `[n_queries, n_heads]`, kept for [`backward`].
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
    check(shape, runs, q, k, v, out, log_sum_exp)?;
    let (d, group) = (shape.head_dim, shape.n_heads / shape.n_kv_heads);
    for run in runs {
        for i in 0..run.query_len {
            let query = run.query_start + i;
            let keys: Vec<usize> = path(run, i).collect();
            for head in 0..shape.n_heads {
                let at = |key: usize| (key * shape.n_kv_heads + head / group) * d;
                let q = &q[(query * shape.n_heads + head) * d..][..d];
                let scores: Vec<f32> =
                    keys.iter().map(|&key| dot(q, &k[at(key)..][..d]) * shape.scale).collect();
                let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = scores.iter().map(|s| (s - max).exp()).sum();
                log_sum_exp[query * shape.n_heads + head] = max + sum.ln();
                let out = &mut out[(query * shape.n_heads + head) * d..][..d];
                out.fill(0.0);
                for (&key, score) in keys.iter().zip(&scores) {
                    add(out, (score - max).exp() / sum, &v[at(key)..][..d]);
                }
            }
        }
    }
    Ok(())
}

/// Gradients of [`forward`]; all three are overwritten.
///
/// The probabilities are computed again from `log_sum_exp`.
///
/// # Shapes
/// As [`forward`]; each gradient has its operand's shape.
///
/// # Errors
/// As [`forward`].
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
    check(shape, runs, q, k, v, out, log_sum_exp)?;
    check_length("grad_out", grad_out.len(), q.len())?;
    check_length("grad_q", grad_q.len(), q.len())?;
    check_length("grad_k", grad_k.len(), k.len())?;
    check_length("grad_v", grad_v.len(), k.len())?;
    let (d, group) = (shape.head_dim, shape.n_heads / shape.n_kv_heads);
    grad_q.fill(0.0);
    grad_k.fill(0.0);
    grad_v.fill(0.0);
    for run in runs {
        for i in 0..run.query_len {
            let query = run.query_start + i;
            for head in 0..shape.n_heads {
                let of_query = (query * shape.n_heads + head) * d;
                let go = &grad_out[of_query..][..d];
                let delta = dot(go, &out[of_query..][..d]);
                for key in path(run, i) {
                    let of_key = (key * shape.n_kv_heads + head / group) * d;
                    let (qh, kh) = (&q[of_query..][..d], &k[of_key..][..d]);
                    let score = dot(qh, kh) * shape.scale;
                    let p = (score - log_sum_exp[query * shape.n_heads + head]).exp();
                    let grad_score = p * (dot(go, &v[of_key..][..d]) - delta) * shape.scale;
                    add(&mut grad_v[of_key..][..d], p, go);
                    add(&mut grad_q[of_query..][..d], grad_score, kh);
                    add(&mut grad_k[of_key..][..d], grad_score, qh);
                }
            }
        }
    }
    Ok(())
}

fn path(run: &QueryRun, i: usize) -> impl Iterator<Item = usize> + '_ {
    run.prefix.iter().cloned().flatten().chain(run.own_start..run.own_start + i + 1)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(out: &mut [f32], factor: f32, x: &[f32]) {
    out.iter_mut().zip(x).for_each(|(o, x)| *o += factor * x);
}

fn check(
    shape: &AttentionShape,
    runs: &[QueryRun],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &[f32],
    log_sum_exp: &[f32],
) -> Result<(), KernelError> {
    let AttentionShape { n_heads, n_kv_heads, head_dim, .. } = *shape;
    if n_kv_heads == 0 || !n_heads.is_multiple_of(n_kv_heads) {
        let rule = "a multiple of n_kv_heads, which is at least 1";
        return Err(KernelError::InvalidSize { operand: "n_heads", found: n_heads, rule });
    }
    let n_queries = count_rows("q", q.len(), n_heads * head_dim)?;
    let n_keys = count_rows("k", k.len(), n_kv_heads * head_dim)?;
    check_length("v", v.len(), k.len())?;
    check_length("out", out.len(), q.len())?;
    check_length("log_sum_exp", log_sum_exp.len(), n_queries * n_heads)?;
    let mut order: Vec<&QueryRun> = runs.iter().collect();
    order.sort_by_key(|run| run.query_start);
    let mut due = 0;
    for run in order {
        if run.query_start != due {
            return Err(KernelError::BrokenPartition { found: run.query_start, expected: due });
        }
        due += run.query_len;
    }
    if due != n_queries {
        return Err(KernelError::BrokenPartition { found: due, expected: n_queries });
    }
    for (index, run) in runs.iter().enumerate() {
        let ends = run.prefix.iter().map(|range| range.end).chain([run.own_start + run.query_len]);
        for end in ends {
            if end > n_keys {
                let operand = "end of a key range of runs";
                return Err(KernelError::OutOfRange {
                    operand,
                    index,
                    found: end,
                    limit: n_keys + 1,
                });
            }
        }
    }
    Ok(())
}
