use crate::ops;
use candle_core::{Result, Tensor};
use critic_forest::TrainingForest;
use critic_kernels::attention::{AttentionShape, QueryRun};
use std::sync::Arc;

/// How the tokens of a batch see each other: the only operation of a [`Decoder`](crate::Decoder) that
/// knows the forest.
pub trait Attention {
    /// Attends in one layer.
    ///
    /// # Shapes
    /// - `q`: `[n_tokens, n_heads · head_dim]`
    /// - `k`, `v`: `[n_tokens, n_kv_heads · head_dim]`
    /// - returns the shape of `q`
    ///
    /// # Errors
    /// When the shapes do not fit.
    fn attend(
        &mut self,
        layer_idx: usize,
        shape: AttentionShape,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<Tensor>;
}

/// Attention over a batch that holds every key it needs: training and scoring of whole forests.
#[derive(Debug, Clone)]
pub struct ForestAttention {
    runs: Arc<[QueryRun]>,
}

impl ForestAttention {
    /// Attention over the segments of a forest.
    pub fn new(forest: &TrainingForest) -> Self {
        let runs = forest.segments.iter().map(|segment| QueryRun {
            query_start: segment.rows.start,
            query_len: segment.rows.len(),
            prefix: segment.prefix.clone(),
            own_start: segment.rows.start,
        });
        Self { runs: runs.collect() }
    }
}

impl Attention for ForestAttention {
    fn attend(
        &mut self,
        _layer_idx: usize,
        shape: AttentionShape,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<Tensor> {
        ops::forest_attention(shape, &self.runs, q, k, v)
    }
}
