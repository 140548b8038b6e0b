//! What one key head of a tile of queries gives to the gradients.

use super::AttentionShape;
use super::backward::{Saved, SeenTile};
use super::forward::gather;
use super::plan::{KEYS, Piece, Tile, key_rows};
use crate::simd::{Factors, Kernel, Simd, accumulate, exp, row_products};
use crate::softcap::softcap_and_slopes;

/// One key head of a tile of queries.
pub(super) struct HeadTile<'a> {
    pub(super) shape: &'a AttentionShape,
    pub(super) group: usize,
    pub(super) seen_tile: &'a SeenTile<'a>,
    pub(super) kv_head: usize,
    pub(super) saved: &'a Saved<'a>,
}

/// What comes of it: `q` by query and query head of the group, `k` and `v` by slot.
pub(super) struct Gradients {
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
}

/// The rows of a tile, a query head of a query each.
struct Rows {
    head_dim: usize,
    softcap: Option<f32>,
    /// Queries, multiplied by the scale.
    q: Vec<f32>,
    grad_out: Vec<f32>,
    log_sum_exp: Vec<f32>,
    /// `grad_out · out`, what the softmax takes from every score's gradient.
    mean: Vec<f32>,
    grad_q: Vec<f32>,
}

impl Kernel for HeadTile<'_> {
    type Output = Gradients;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Gradients {
        let Self { shape, group, seen_tile, kv_head, saved } = self;
        let (d, tile) = (shape.head_dim, &seen_tile.tile);
        let mut rows = Rows::new(simd, shape, group, tile, kv_head, saved);
        let mut grad_k = vec![0.0; seen_tile.n_slots * d];
        let mut grad_v = vec![0.0; seen_tile.n_slots * d];
        let (mut probabilities, mut grad_scores) = (Vec::new(), Vec::new());
        let mut columns = Columns::default();
        for block in 0..tile.n_blocks() {
            for piece in tile.pieces_seeing(block) {
                let keys = piece.keys(block);
                let k = key_rows(saved.k, keys, shape, kv_head);
                columns.take(keys, &k, &key_rows(saved.v, keys, shape, kv_head), d);
                probabilities.clear();
                grad_scores.clear();
                let first = piece.first_seeing(block) * group;
                let end = piece.end_seeing(block) * group;
                let mut row = first;
                while row < end {
                    let (p, g, left) = (&mut probabilities, &mut grad_scores, end - row);
                    row += if S::WIDE_TILE && left >= 6 {
                        step::<S, 6>(simd, piece, group, block, row, &k, &columns, &mut rows, p, g)
                    } else if left >= 3 {
                        step::<S, 3>(simd, piece, group, block, row, &k, &columns, &mut rows, p, g)
                    } else if left == 2 {
                        step::<S, 2>(simd, piece, group, block, row, &k, &columns, &mut rows, p, g)
                    } else {
                        step::<S, 1>(simd, piece, group, block, row, &k, &columns, &mut rows, p, g)
                    };
                }
                let met = (piece.offset * group + first) * d..(piece.offset * group + end) * d;
                let q: Vec<&[f32]> = rows.q[met.clone()].chunks_exact(d).collect();
                let grad_out: Vec<&[f32]> = rows.grad_out[met].chunks_exact(d).collect();
                let from = piece.seen(block, first / group).start;
                add_to_keys(simd, &probabilities, &grad_out, keys, from, seen_tile, &mut grad_v, d);
                add_to_keys(simd, &grad_scores, &q, keys, from, seen_tile, &mut grad_k, d);
            }
        }
        for x in &mut rows.grad_q {
            *x *= shape.scale;
        }
        Gradients { q: rows.grad_q, k: grad_k, v: grad_v }
    }
}

/// The keys and values of a block by their numbers, `[head_dim, KEYS]`: sums of products lie side by side.
#[derive(Default)]
struct Columns {
    keys: Vec<usize>,
    k: Vec<[f32; KEYS]>,
    v: Vec<[f32; KEYS]>,
}

impl Columns {
    /// Those of `keys`, where they are others than before.
    #[inline(always)]
    fn take(&mut self, keys: &[usize], k: &[&[f32]; KEYS], v: &[&[f32]; KEYS], head_dim: usize) {
        if self.keys == keys {
            return;
        }
        self.keys.clear();
        self.keys.extend_from_slice(keys);
        for (columns, rows) in [(&mut self.k, k), (&mut self.v, v)] {
            columns.resize(head_dim, [0.0; KEYS]);
            for (i, column) in columns.iter_mut().enumerate() {
                for (x, row) in column.iter_mut().zip(&rows[..keys.len()]) {
                    *x = row[i];
                }
            }
        }
    }
}

impl Rows {
    #[inline(always)]
    fn new<S: Simd>(
        simd: S,
        shape: &AttentionShape,
        group: usize,
        tile: &Tile<'_>,
        kv_head: usize,
        saved: &Saved<'_>,
    ) -> Self {
        let (d, n_kv_heads) = (shape.head_dim, shape.n_kv_heads);
        let mut q = gather(saved.q, tile, group * d, n_kv_heads, kv_head);
        for x in &mut q {
            *x *= shape.scale;
        }
        let out = gather(saved.out, tile, group * d, n_kv_heads, kv_head);
        let grad_out = gather(saved.grad_out, tile, group * d, n_kv_heads, kv_head);
        let mut mean = Vec::with_capacity(tile.n_queries * group);
        for (out, grad_out) in out.chunks_exact(d).zip(grad_out.chunks_exact(d)) {
            // In the order of `row_products`: the gradient of a lone key's score is zero to the bit.
            let terms = out.iter().zip(grad_out);
            mean.push(terms.fold(0.0, |sum, (x, grad)| simd.mul_add_number(*grad, *x, sum)));
        }
        let log_sum_exp = gather(saved.log_sum_exp, tile, group, n_kv_heads, kv_head);
        let (softcap, grad_q) = (shape.softcap, vec![0.0; q.len()]);
        Self { head_dim: d, softcap, q, grad_out, log_sum_exp, mean, grad_q }
    }
}

/// `R` rows of a piece, from `row` on, meet a block of their path: their probabilities and the
/// gradients of their scores are pushed, and they take their own gradient. Gives `R`.
#[inline(always)]
fn step<S: Simd, const R: usize>(
    simd: S,
    piece: &Piece<'_>,
    group: usize,
    block: usize,
    row: usize,
    k: &[&[f32]; KEYS],
    columns: &Columns,
    rows: &mut Rows,
    probabilities: &mut Vec<[f32; KEYS]>,
    grad_scores: &mut Vec<[f32; KEYS]>,
) -> usize {
    let d = rows.head_dim;
    let first = piece.offset * group + row;
    let most = piece.seen(block, (row + R - 1) / group).end;
    let least = piece.seen(block, row / group).start;
    let mut offsets = [0; R];
    let (mut q, mut grad_out) = ([&rows.q[..0]; R], [&rows.q[..0]; R]);
    for r in 0..R {
        offsets[r] = (first + r) * d;
        q[r] = &rows.q[offsets[r]..][..d];
        grad_out[r] = &rows.grad_out[offsets[r]..][..d];
    }
    let mut p = row_products(simd, q, &columns.k, most);
    let mut grad = row_products(simd, grad_out, &columns.v, most);
    for r in 0..R {
        let (log_sum_exp, mean) = (rows.log_sum_exp[first + r], rows.mean[first + r]);
        let mut slopes = [0.0; KEYS];
        if let Some(cap) = rows.softcap {
            softcap_and_slopes(simd, &mut p[r], cap, &mut slopes);
        }
        for key in 0..KEYS {
            p[r][key] = exp(simd, p[r][key] - log_sum_exp);
            grad[r][key] = p[r][key] * (grad[r][key] - mean);
        }
        if rows.softcap.is_some() {
            grad[r].iter_mut().zip(&slopes).for_each(|(grad, slope)| *grad *= slope);
        }
        let seen = piece.seen(block, (row + r) / group);
        for x in [&mut p[r], &mut grad[r]] {
            x[..seen.start].fill(0.0);
            x[seen.end..].fill(0.0);
        }
    }
    let factors = Factors::Rows { rows: &grad, first: least };
    accumulate(simd, factors, &k[least..most], &mut rows.grad_q, offsets, d);
    probabilities.extend_from_slice(&p);
    grad_scores.extend_from_slice(&grad);
    R
}

/// Adds `Σ factors[row][key] · x[row]` to the slot of every key of a block, from the first one seen on.
#[inline(always)]
fn add_to_keys<S: Simd>(
    simd: S,
    factors: &[[f32; KEYS]],
    x: &[&[f32]],
    keys: &[usize],
    from: usize,
    seen_tile: &SeenTile<'_>,
    to: &mut [f32],
    d: usize,
) {
    let mut key = from;
    while key < keys.len() {
        let factors = Factors::Columns { rows: factors, first: key };
        if S::WIDE_TILE && key + 6 <= keys.len() {
            accumulate::<S, 6, KEYS>(simd, factors, x, to, slots(seen_tile, &keys[key..], d), d);
            key += 6;
        } else if key + 3 <= keys.len() {
            accumulate::<S, 3, KEYS>(simd, factors, x, to, slots(seen_tile, &keys[key..], d), d);
            key += 3;
        } else {
            accumulate::<S, 1, KEYS>(simd, factors, x, to, slots(seen_tile, &keys[key..], d), d);
            key += 1;
        }
    }
}

/// Where the first `R` keys' rows begin.
#[inline(always)]
fn slots<const R: usize>(seen_tile: &SeenTile<'_>, keys: &[usize], d: usize) -> [usize; R] {
    let mut offsets = [0; R];
    for r in 0..R {
        offsets[r] = seen_tile.slots[keys[r]] as usize * d;
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::super::QueryRun;
    use super::super::forward;
    use super::super::plan::Plan;
    use super::super::tests::plain;
    use super::*;
    use crate::simd::dispatch_on;
    use crate::testing::{ISAS, assert_close, numbers, wide};

    #[test]
    fn every_instruction_set_agrees() {
        let shape = AttentionShape { n_heads: 3, head_dim: 37, ..plain(0.2) };
        let run =
            QueryRun { query_start: 0, query_len: 29, prefix: vec![29..64, 64..99], own_start: 0 };
        let (q, k, v) = (numbers(29 * 111, 1), numbers(99 * 37, 2), numbers(99 * 37, 3));
        let (mut out, mut log_sum_exp) = (vec![0.0; q.len()], vec![0.0; 29 * 3]);
        let plan = Plan::new(&shape, &[run], q.len(), k.len()).unwrap();
        forward::run(&plan, &q, &k, &v, &mut out, &mut log_sum_exp);
        let grad_out = &numbers(q.len(), 4);
        let (q, k, v, out, log_sum_exp) = (&q, &k, &v, &out, &log_sum_exp);
        let saved = &Saved { q, k, v, out, log_sum_exp, grad_out };
        let seen_tile = &SeenTile::new(plan.tiles(128).remove(0), plan.n_keys);
        let [portable, others @ ..] = ISAS.map(|isa| {
            dispatch_on(isa, HeadTile { shape: &shape, group: 3, seen_tile, kv_head: 0, saved })
        });
        for gradients in others {
            assert_close(&gradients.q, &wide(&portable.q), 1e-5);
            assert_close(&gradients.k, &wide(&portable.k), 1e-5);
            assert_close(&gradients.v, &wide(&portable.v), 1e-5);
        }
    }
}
