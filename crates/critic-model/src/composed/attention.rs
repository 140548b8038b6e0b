use super::operations::{softcap, softmax};
use crate::error::ModelError;
use candle_core::{Device, Result, Tensor};
use critic_kernels::KernelError;
use critic_kernels::attention::{AttentionShape, QueryRun};
use std::collections::BTreeSet;

/// Keys of a block of runs, unless a single run sees more.
///
/// Fewer waste less on keys that a query does not see; more make fewer and larger operations.
pub(super) const KEYS_OF_A_BLOCK: usize = 512;

/// The paths of a batch, cut into blocks: runs in a row, with the keys of their paths and a mask.
///
/// A block costs its queries times its keys, so a batch never costs the square of its rows.
#[derive(Debug)]
pub(super) struct Paths {
    /// In the order of their queries.
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    query_start: usize,
    query_len: usize,
    /// Rows of the keys, `[n_keys]`.
    keys: Tensor,
    /// What is added to the scores: 0 where a query sees a key, −∞ elsewhere, `[query_len, n_keys]`.
    bias: Tensor,
}

impl Paths {
    /// The paths of runs that partition `n_rows` rows, in blocks of no more than `keys_of_a_block` keys; a
    /// query sees the last `window` keys of its path, or all.
    pub(super) fn new(
        runs: &[QueryRun],
        n_rows: usize,
        window: Option<usize>,
        keys_of_a_block: usize,
        device: &Device,
    ) -> std::result::Result<Self, ModelError> {
        let mut runs: Vec<&QueryRun> = runs.iter().filter(|run| run.query_len > 0).collect();
        runs.sort_by_key(|run| run.query_start);
        let mut expected = 0;
        let (mut blocks, mut block, mut keys) = (Vec::new(), Vec::new(), BTreeSet::new());
        for run in runs {
            check_partition(run.query_start, expected)?;
            expected += run.query_len;
            let path = path(run, n_rows)?;
            let n_new = path.iter().filter(|&row| !keys.contains(row)).count();
            if !block.is_empty() && keys.len() + n_new > keys_of_a_block {
                blocks.push(Block::new(&block, &keys, window, device)?);
                block.clear();
                keys.clear();
            }
            keys.extend(path);
            block.push(run);
        }
        check_partition(expected, n_rows)?;
        if !block.is_empty() {
            blocks.push(Block::new(&block, &keys, window, device)?);
        }
        Ok(Self { blocks })
    }

    /// `softmax(scale · q · kᵀ) · v` over what each query sees; scores are bound first where the shape says
    /// so.
    ///
    /// # Shapes
    /// - `q`: `[n_tokens, n_heads · head_dim]`, which is returned
    /// - `k`, `v`: `[n_tokens, n_kv_heads · head_dim]`
    pub(super) fn attend(
        &self,
        shape: AttentionShape,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<Tensor> {
        let attended: Vec<Tensor> =
            self.blocks.iter().map(|block| block.attend(shape, q, k, v)).collect::<Result<_>>()?;
        Tensor::cat(&attended, 0)
    }
}

fn check_partition(found: usize, expected: usize) -> std::result::Result<(), KernelError> {
    if found == expected { Ok(()) } else { Err(KernelError::BrokenPartition { found, expected }) }
}

/// The rows that the last query of a run sees, in path order.
fn path(run: &QueryRun, n_rows: usize) -> std::result::Result<Vec<usize>, KernelError> {
    let own = run.own_start..run.own_start + run.query_len;
    let mut path = Vec::new();
    for (index, range) in run.prefix.iter().chain([&own]).enumerate() {
        if range.end > n_rows {
            let (found, limit) = (range.end - 1, n_rows);
            return Err(KernelError::OutOfRange { operand: "runs", index, found, limit });
        }
        path.extend(range.clone());
    }
    let mut seen = BTreeSet::new();
    match path.iter().find(|&&key| !seen.insert(key)) {
        Some(&key) => Err(KernelError::RepeatedKey { key }),
        None => Ok(path),
    }
}

impl Block {
    fn new(
        runs: &[&QueryRun],
        keys: &BTreeSet<usize>,
        window: Option<usize>,
        device: &Device,
    ) -> Result<Self> {
        let keys: Vec<usize> = keys.iter().copied().collect();
        let (query_start, n_keys) = (runs[0].query_start, keys.len());
        let query_len = runs.iter().map(|run| run.query_len).sum();
        let mut bias = vec![f32::NEG_INFINITY; query_len * n_keys];
        for run in runs {
            for query in 0..run.query_len {
                let from = (run.query_start - query_start + query) * n_keys;
                let row = &mut bias[from..from + n_keys];
                let own = run.own_start..run.own_start + query + 1;
                let n_path =
                    own.len() + run.prefix.iter().map(ExactSizeIterator::len).sum::<usize>();
                let n_hidden = n_path.saturating_sub(window.unwrap_or(usize::MAX));
                for key in run.prefix.iter().chain([&own]).cloned().flatten().skip(n_hidden) {
                    // Every key of the run is among those of the block.
                    row[keys.partition_point(|&other| other < key)] = 0.0;
                }
            }
        }
        let bias = Tensor::from_vec(bias, (query_len, n_keys), device)?;
        let keys: Vec<u32> = keys.into_iter().map(|row| row as u32).collect();
        let keys = Tensor::from_vec(keys, n_keys, device)?;
        Ok(Self { query_start, query_len, keys, bias })
    }

    fn attend(&self, shape: AttentionShape, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let AttentionShape { n_heads, n_kv_heads, head_dim, scale, .. } = shape;
        let (n, n_keys, n_sharing) = (self.query_len, self.keys.dim(0)?, n_heads / n_kv_heads);
        // The query heads that share a key head stand below each other: [n_kv_heads, n_sharing · n, head_dim].
        let q = q
            .narrow(0, self.query_start, n)?
            .reshape((n, n_kv_heads, n_sharing, head_dim))?
            .permute((1, 2, 0, 3))?
            .reshape((n_kv_heads, n_sharing * n, head_dim))?;
        let of_block = |x: &Tensor| {
            let rows = x.index_select(&self.keys, 0)?;
            rows.reshape((n_keys, n_kv_heads, head_dim))?.transpose(0, 1)?.contiguous()
        };
        let scores = (q.matmul(&of_block(k)?.t()?)? * f64::from(scale))?;
        let scores = softcap(&scores, shape.softcap)?
            .reshape((n_kv_heads, n_sharing, n, n_keys))?
            .broadcast_add(&self.bias)?;
        softmax(&scores)?
            .reshape((n_kv_heads, n_sharing * n, n_keys))?
            .matmul(&of_block(v)?)?
            .reshape((n_kv_heads, n_sharing, n, head_dim))?
            .permute((2, 0, 1, 3))?
            .reshape((n, n_heads * head_dim))
    }
}
