//! The backward pass: tiles of queries by key heads, then the sum over tiles by key.
//!
//! A tile collects the gradients of the keys that it sees in rows of its own; they are added to
//! the others' in the order of the tiles. Tiles depend on the runs alone.

use rayon::prelude::*;

use super::forward::scatter;
use super::gradients::{Gradients, HeadTile};
use super::plan::{Plan, Tile};
use crate::simd::dispatch;

/// Queries of a tile, at most.
const TILE: usize = 128;
/// Numbers of gradients that wait to be added together, at most, unless one tile has more.
pub(super) const WAITING: usize = 1 << 25;
/// Marks a key that a tile does not see.
const UNSEEN: u32 = u32::MAX;

/// The operands and results of the forward pass, and the gradient of its output.
pub(super) struct Saved<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) out: &'a [f32],
    pub(super) log_sum_exp: &'a [f32],
    pub(super) grad_out: &'a [f32],
}

/// Overwrites the gradients; `waiting` is [`WAITING`], and does not change a bit.
pub(super) fn run(
    plan: &Plan,
    saved: &Saved<'_>,
    grad_q: &mut [f32],
    grad_k: &mut [f32],
    grad_v: &mut [f32],
    waiting: usize,
) {
    let (shape, group) = (&plan.shape, plan.group);
    let (d, n_kv_heads) = (shape.head_dim, shape.n_kv_heads);
    grad_k.fill(0.0);
    grad_v.fill(0.0);
    let tiles: Vec<SeenTile<'_>> =
        plan.tiles(TILE).into_par_iter().map(|tile| SeenTile::new(tile, plan.n_keys)).collect();
    let mut grad_q = grad_q;
    let mut rest = &tiles[..];
    while !rest.is_empty() {
        let wave;
        (wave, rest) = rest.split_at(wave_len(rest, 2 * n_kv_heads * d, waiting));
        let gradients: Vec<Gradients> = (0..wave.len() * n_kv_heads)
            .into_par_iter()
            .map(|task| {
                let (seen_tile, kv_head) = (&wave[task / n_kv_heads], task % n_kv_heads);
                dispatch(HeadTile { shape, group, seen_tile, kv_head, saved })
            })
            .collect();
        let mut tiles_grad_q = Vec::with_capacity(wave.len());
        for seen_tile in wave {
            let len = seen_tile.tile.n_queries * shape.n_heads * d;
            let (tile_grad_q, after) = grad_q.split_at_mut(len);
            tiles_grad_q.push(tile_grad_q);
            grad_q = after;
        }
        let by_tile = tiles_grad_q.into_par_iter().zip(gradients.par_chunks(n_kv_heads));
        by_tile.for_each(|(grad_q, heads)| {
            for (kv_head, gradients) in heads.iter().enumerate() {
                scatter(&gradients.q, grad_q, group * d, n_kv_heads, kv_head);
            }
        });
        let key_rows =
            grad_k.par_chunks_mut(n_kv_heads * d).zip(grad_v.par_chunks_mut(n_kv_heads * d));
        key_rows.enumerate().for_each(|(key, (grad_k, grad_v))| {
            for (seen_tile, gradients) in wave.iter().zip(gradients.chunks(n_kv_heads)) {
                let slot = seen_tile.slots[key];
                if slot == UNSEEN {
                    continue;
                }
                let from = slot as usize * d..(slot as usize + 1) * d;
                for (kv_head, gradients) in gradients.iter().enumerate() {
                    add(&mut grad_k[kv_head * d..][..d], &gradients.k[from.clone()]);
                    add(&mut grad_v[kv_head * d..][..d], &gradients.v[from.clone()]);
                }
            }
        });
    }
}

fn add(to: &mut [f32], x: &[f32]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += x);
}

/// How many of the tiles go together, with `width` numbers a seen key and `most` in all.
fn wave_len(tiles: &[SeenTile<'_>], width: usize, most: usize) -> usize {
    let mut waiting = 0;
    let fitting = tiles.iter().take_while(|tile| {
        waiting += tile.n_slots * width;
        waiting <= most
    });
    fitting.count().max(1)
}

/// A tile, and the keys that any of its queries sees.
pub(super) struct SeenTile<'a> {
    pub(super) tile: Tile<'a>,
    /// By key row: its number among the seen ones, or [`UNSEEN`].
    pub(super) slots: Vec<u32>,
    pub(super) n_slots: usize,
}

impl<'a> SeenTile<'a> {
    pub(super) fn new(tile: Tile<'a>, n_keys: usize) -> Self {
        let mut slots = vec![UNSEEN; n_keys];
        let mut n_slots = 0;
        for piece in &tile.pieces {
            for &key in &piece.path.keys[piece.first_key()..piece.n_keys()] {
                if slots[key] == UNSEEN {
                    slots[key] = n_slots;
                    n_slots += 1;
                }
            }
        }
        Self { tile, slots, n_slots: n_slots as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_gradients_are_bounded_and_every_tile_has_its_turn() {
        let tile = |n_slots| {
            let tile = Tile { first_query: 0, n_queries: 1, pieces: Vec::new() };
            SeenTile { tile, slots: Vec::new(), n_slots }
        };
        let tiles = [10, 10, 1, 40].map(tile);
        assert_eq!(wave_len(&tiles, 2, 40), 2);
        assert_eq!(wave_len(&tiles, 2, 100), 3);
        assert_eq!(wave_len(&tiles[3..], 2, 40), 1);
    }
}
