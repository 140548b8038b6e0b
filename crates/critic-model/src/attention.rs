use critic_forest::TrainingForest;
use critic_kernels::KernelError;
use critic_kernels::attention::{self, AttentionShape, QueryRun};

/// How the tokens of a batch see each other: the only operation of a [`Decoder`](crate::Decoder) that
/// knows the forest.
pub trait Attention: Send {
    /// Attends in one layer.
    ///
    /// # Shapes
    /// - `q`, `out`: `[n_tokens, n_heads · head_dim]`
    /// - `k`, `v`: `[n_tokens, n_kv_heads · head_dim]`
    ///
    /// # Errors
    /// When the shapes do not fit.
    fn attend(
        &mut self,
        layer_idx: usize,
        shape: AttentionShape,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        out: &mut [f32],
    ) -> Result<(), KernelError>;
}

/// Attention over a batch that holds every key it needs: whole forests.
#[derive(Debug, Clone)]
pub struct ForestAttention {
    runs: Vec<QueryRun>,
}

/// The runs of queries of a forest whose keys are its own rows.
pub fn query_runs(forest: &TrainingForest) -> Vec<QueryRun> {
    let run = |segment: &critic_forest::Segment| QueryRun {
        query_start: segment.rows.start,
        query_len: segment.rows.len(),
        prefix: segment.prefix.clone(),
        own_start: segment.rows.start,
    };
    forest.segments.iter().map(run).collect()
}

impl ForestAttention {
    /// Attention over the segments of a forest.
    pub fn new(forest: &TrainingForest) -> Self {
        Self { runs: query_runs(forest) }
    }
}

impl Attention for ForestAttention {
    fn attend(
        &mut self,
        _layer_idx: usize,
        shape: AttentionShape,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        out: &mut [f32],
    ) -> Result<(), KernelError> {
        let mut log_sum_exp = vec![0.0; q.len() / shape.head_dim.max(1)];
        attention::forward(&shape, &self.runs, q, k, v, out, &mut log_sum_exp)
    }
}
