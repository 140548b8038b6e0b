use critic_kernels::KernelError;
use critic_kernels::attention::{self, AttentionShape, QueryRun};
use critic_model::Attention;

/// Keys and values of every layer by row of the forest.
#[derive(Debug)]
pub struct KvArena {
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    width: usize,
    max_rows: usize,
}

impl KvArena {
    /// An empty arena for `n_layers` layers of `width` = n_kv_heads · head_dim and at most `max_rows`
    /// rows.
    pub fn new(n_layers: usize, width: usize, max_rows: usize) -> Self {
        let empty = || vec![Vec::new(); n_layers];
        Self { keys: empty(), values: empty(), width, max_rows }
    }

    /// Makes room for `n_rows` rows; grows by half so that growing stays rare, and never beyond the
    /// limit.
    pub fn reserve_rows(&mut self, n_rows: usize) {
        let held = self.n_rows();
        if n_rows > held {
            let rows = n_rows.max(held + held / 2).min(self.max_rows.max(n_rows));
            for part in self.keys.iter_mut().chain(&mut self.values) {
                // Growing by doubling would hold twice the limit.
                part.reserve_exact(rows * self.width - part.len());
                part.resize(rows * self.width, 0.0);
            }
        }
    }

    /// Rows that there is room for.
    pub fn n_rows(&self) -> usize {
        self.keys.first().map_or(0, |part| part.len() / self.width)
    }

    /// Bytes of all rows that there is room for.
    pub fn n_bytes(&self) -> usize {
        Self::bytes_per_row(self.keys.len(), self.width) * self.n_rows()
    }

    /// Bytes that one row takes over all layers.
    pub fn bytes_per_row(n_layers: usize, width: usize) -> usize {
        2 * n_layers * width * size_of::<f32>()
    }
}

/// Attention of a batch whose new keys and values go to `rows` and whose queries see rows of the arena.
#[derive(Debug)]
pub(crate) struct CachedAttention<'a> {
    pub(crate) arena: &'a mut KvArena,
    pub(crate) rows: &'a [usize],
    pub(crate) runs: &'a [QueryRun],
}

impl Attention for CachedAttention<'_> {
    fn attend(
        &mut self,
        layer_idx: usize,
        shape: AttentionShape,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        out: &mut [f32],
    ) -> Result<(), KernelError> {
        let width = self.arena.width;
        let KvArena { keys, values, .. } = &mut *self.arena;
        let (keys, values) = (&mut keys[layer_idx], &mut values[layer_idx]);
        for (new, kept) in [(k, &mut *keys), (v, &mut *values)] {
            for (row, source) in self.rows.iter().zip(new.chunks_exact(width)) {
                kept[row * width..(row + 1) * width].copy_from_slice(source);
            }
        }
        let mut log_sum_exp = vec![0.0; self.rows.len() * shape.n_heads];
        attention::forward(&shape, self.runs, q, keys, values, out, &mut log_sum_exp)
    }
}
