//! The forward pass: tiles of queries by key heads.

use std::ops::Range;

use rayon::prelude::*;

use super::AttentionShape;
use super::plan::{Family, KEYS, Plan, Tile, key_rows};
use crate::simd::{COLUMNS, Factors, Kernel, Simd, accumulate, dispatch, dot_tile, exp, max, sum};
use crate::softcap::softcap;

/// Queries of a tile, at most.
const TILE: usize = 32;
/// Queries of a tile, at least, where there are so many.
const SMALL_TILE: usize = 4;

pub(super) fn run(
    plan: &Plan,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &mut [f32],
    log_sum_exp: &mut [f32],
) {
    let (shape, group) = (&plan.shape, plan.group);
    let tasks = 4 * rayon::current_num_threads();
    let tiles = plan.tiles((plan.n_queries * shape.n_kv_heads / tasks).clamp(SMALL_TILE, TILE));
    let mut work = Vec::with_capacity(tiles.len());
    let (mut out, mut log_sum_exp) = (out, log_sum_exp);
    for tile in &tiles {
        let (tile_out, out_rest) =
            out.split_at_mut(tile.n_queries * shape.n_heads * shape.head_dim);
        let (tile_sums, sums_rest) = log_sum_exp.split_at_mut(tile.n_queries * shape.n_heads);
        work.push((tile, tile_out, tile_sums));
        (out, log_sum_exp) = (out_rest, sums_rest);
    }
    work.into_par_iter().for_each(|(tile, out, log_sum_exp)| {
        let heads: Vec<Head> = (0..shape.n_kv_heads)
            .into_par_iter()
            .map(|kv_head| dispatch(HeadTile { shape, group, tile, kv_head, q, k, v }))
            .collect();
        for (kv_head, head) in heads.iter().enumerate() {
            scatter(&head.out, out, group * shape.head_dim, shape.n_kv_heads, kv_head);
            scatter(&head.log_sum_exp, log_sum_exp, group, shape.n_kv_heads, kv_head);
        }
    });
}

/// The rows of one key head of a tile, `width` numbers a query, out of `q`-shaped `x`.
pub(super) fn gather(
    x: &[f32],
    tile: &Tile<'_>,
    width: usize,
    n_kv_heads: usize,
    kv_head: usize,
) -> Vec<f32> {
    let mut rows = Vec::with_capacity(tile.n_queries * width);
    for query in tile.first_query..tile.first_query + tile.n_queries {
        rows.extend_from_slice(&x[(query * n_kv_heads + kv_head) * width..][..width]);
    }
    rows
}

/// Puts the rows of one key head of a tile to their place among those of the others.
pub(super) fn scatter(
    rows: &[f32],
    to: &mut [f32],
    width: usize,
    n_kv_heads: usize,
    kv_head: usize,
) {
    for (query, row) in rows.chunks_exact(width).enumerate() {
        to[(query * n_kv_heads + kv_head) * width..][..width].copy_from_slice(row);
    }
}

/// One key head of a tile of queries.
struct HeadTile<'a> {
    shape: &'a AttentionShape,
    group: usize,
    tile: &'a Tile<'a>,
    kv_head: usize,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
}

/// What comes of it: by query and query head of the group.
struct Head {
    out: Vec<f32>,
    log_sum_exp: Vec<f32>,
}

/// Rows (a query head of a query each) on their way along the path.
struct Rows {
    head_dim: usize,
    softcap: Option<f32>,
    /// Queries, multiplied by the scale.
    q: Vec<f32>,
    /// `Σ exp(score − greatest) · v`.
    out: Vec<f32>,
    /// The greatest score met.
    greatest: Vec<f32>,
    /// `Σ exp(score − greatest)`.
    sum: Vec<f32>,
}

impl Kernel for HeadTile<'_> {
    type Output = Head;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Head {
        let Self { shape, group, tile, kv_head, .. } = self;
        let d = shape.head_dim;
        let mut q = gather(self.q, tile, group * d, shape.n_kv_heads, kv_head);
        for x in &mut q {
            *x *= shape.scale;
        }
        let n_rows = tile.n_queries * group;
        let mut rows = Rows {
            head_dim: d,
            softcap: shape.softcap,
            out: vec![0.0; q.len()],
            q,
            greatest: vec![f32::NEG_INFINITY; n_rows],
            sum: vec![0.0; n_rows],
        };
        for block in 0..tile.n_blocks() {
            for family in tile.families(block) {
                let k = key_rows(self.k, family.keys, shape, kv_head);
                let v = key_rows(self.v, family.keys, shape, kv_head);
                let mut row = 0;
                let end = family.seen.len() * group;
                while row < end {
                    let left = end - row;
                    row += if S::WIDE_TILE && left >= 6 {
                        step::<S, 6>(simd, &family, group, row, &k, &v, &mut rows)
                    } else if left >= 3 {
                        step::<S, 3>(simd, &family, group, row, &k, &v, &mut rows)
                    } else if left == 2 {
                        step::<S, 2>(simd, &family, group, row, &k, &v, &mut rows)
                    } else {
                        step::<S, 1>(simd, &family, group, row, &k, &v, &mut rows)
                    };
                }
            }
        }
        let mut log_sum_exp = rows.greatest;
        for ((out, log), sum) in rows.out.chunks_exact_mut(d).zip(&mut log_sum_exp).zip(&rows.sum) {
            let inverse = 1.0 / sum;
            for x in out {
                *x *= inverse;
            }
            *log += sum.ln();
        }
        Head { out: rows.out, log_sum_exp }
    }
}

/// `R` rows of a family, from `row` on, meet the keys of its block; gives `R`.
#[inline(always)]
fn step<S: Simd, const R: usize>(
    simd: S,
    family: &Family<'_>,
    group: usize,
    row: usize,
    k: &[&[f32]; KEYS],
    v: &[&[f32]; KEYS],
    rows: &mut Rows,
) -> usize {
    let d = rows.head_dim;
    let first = family.first * group + row;
    let mut seen = [const { 0..0 }; R];
    let mut offsets = [0; R];
    let mut q = [&rows.q[..0]; R];
    for r in 0..R {
        seen[r] = family.seen[(row + r) / group].clone();
        offsets[r] = (first + r) * d;
        q[r] = &rows.q[offsets[r]..][..d];
    }
    let mut scores = scores(simd, q, k, seen[R - 1].end);
    for r in 0..R {
        if let Some(cap) = rows.softcap {
            softcap(simd, &mut scores[r], cap);
        }
        scores[r][..seen[r].start].fill(f32::NEG_INFINITY);
        scores[r][seen[r].end..].fill(f32::NEG_INFINITY);
        let before = rows.greatest[first + r];
        let here = max(simd, &scores[r]);
        let greatest = if here > before { here } else { before };
        for score in &mut scores[r] {
            *score = exp(simd, *score - greatest);
        }
        let shrink = exp(simd, before - greatest);
        rows.greatest[first + r] = greatest;
        rows.sum[first + r] = rows.sum[first + r] * shrink + sum(simd, &scores[r]);
        for x in &mut rows.out[offsets[r]..][..d] {
            *x *= shrink;
        }
    }
    // The keys that all rows see are added to all at once; a row meets its keys in their order.
    let shared = seen[R - 1].start..seen[0].end.max(seen[R - 1].start);
    for r in 0..R {
        let before = seen[r].start..seen[r].end.min(shared.start);
        add_values(simd, &scores[r], v, before, &mut rows.out, offsets[r], d);
    }
    if !shared.is_empty() {
        let factors = Factors::Rows { rows: &scores, first: shared.start };
        accumulate(simd, factors, &v[shared.clone()], &mut rows.out, offsets, d);
    }
    for r in 0..R {
        let after = seen[r].start.max(shared.end)..seen[r].end;
        add_values(simd, &scores[r], v, after, &mut rows.out, offsets[r], d);
    }
    R
}

/// Adds a row's shares of some keys' values.
#[inline(always)]
fn add_values<S: Simd>(
    simd: S,
    shares: &[f32; KEYS],
    v: &[&[f32]; KEYS],
    keys: Range<usize>,
    out: &mut [f32],
    offset: usize,
    d: usize,
) {
    if !keys.is_empty() {
        let factors = Factors::Rows { rows: std::slice::from_ref(shares), first: keys.start };
        accumulate(simd, factors, &v[keys], out, [offset], d);
    }
}

/// The products of `R` rows with the first `n` keys of a block; what follows them has no meaning.
#[inline(always)]
pub(super) fn scores<S: Simd, const R: usize>(
    simd: S,
    q: [&[f32]; R],
    k: &[&[f32]; KEYS],
    n: usize,
) -> [[f32; KEYS]; R] {
    let mut scores = [[0.0; KEYS]; R];
    for key in (0..n).step_by(COLUMNS) {
        let mut columns = [k[key]; COLUMNS];
        for c in 1..COLUMNS {
            columns[c] = k[(key + c).min(n - 1)];
        }
        let products = dot_tile(simd, q, columns);
        for r in 0..R {
            scores[r][key..key + COLUMNS].copy_from_slice(&products[r]);
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::super::QueryRun;
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
        let plan = Plan::new(&shape, &[run], q.len(), k.len()).unwrap();
        let tile = &plan.tiles(TILE)[0];
        let [portable, others @ ..] = ISAS.map(|isa| {
            let (shape, q, k, v) = (&shape, &q, &k, &v);
            dispatch_on(isa, HeadTile { shape, group: 3, tile, kv_head: 0, q, k, v })
        });
        for head in others {
            assert_close(&head.out, &wide(&portable.out), 1e-5);
            assert_close(&head.log_sum_exp, &wide(&portable.log_sum_exp), 1e-5);
        }
    }
}
