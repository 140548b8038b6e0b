//! Checked runs, their paths, and how their queries are cut into pieces of work.

use std::ops::Range;

use super::{AttentionShape, QueryRun};
use crate::error::{KernelError, count_rows};

/// Keys of a block; blocks are counted from the start of a path.
pub(super) const KEYS: usize = 64;
/// Query rows (queries times the heads of a group) of a piece, at most, where a group is no larger.
const PIECE_ROWS: usize = 96;

/// Runs that fit their operands.
pub(super) struct Plan {
    pub(super) shape: AttentionShape,
    /// Query heads of a key head.
    pub(super) group: usize,
    pub(super) n_queries: usize,
    pub(super) n_keys: usize,
    /// The runs that hold queries, by their first query.
    runs: Vec<Run>,
}

struct Run {
    query_len: usize,
    path: Path,
}

/// The keys of a run.
pub(super) struct Path {
    /// Key rows in path order, those of the run's own queries last.
    pub(super) keys: Vec<usize>,
    /// How many of them come before the run's own.
    pub(super) prefix_len: usize,
}

/// Consecutive queries of one run.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) path: &'a Path,
    /// The first query, counted from the run's first.
    pub(super) first: usize,
    /// The number of queries.
    pub(super) len: usize,
    /// The first query, counted from the tile's first.
    pub(super) offset: usize,
    /// How many keys a query sees at most.
    window: usize,
}

/// Consecutive queries that are worked on together.
pub(super) struct Tile<'a> {
    pub(super) first_query: usize,
    pub(super) n_queries: usize,
    pub(super) pieces: Vec<Piece<'a>>,
}

impl Plan {
    /// Checks `runs` against operands of these lengths.
    pub(super) fn new(
        shape: &AttentionShape,
        runs: &[QueryRun],
        q_len: usize,
        k_len: usize,
    ) -> Result<Self, KernelError> {
        let AttentionShape { n_heads, n_kv_heads, head_dim, window, .. } = *shape;
        if n_kv_heads == 0 || !n_heads.is_multiple_of(n_kv_heads) {
            let rule = "a multiple of n_kv_heads, which is at least 1";
            return Err(KernelError::InvalidSize { operand: "n_heads", found: n_heads, rule });
        }
        if window == Some(0) {
            let rule = "at least 1, the query's own key";
            return Err(KernelError::InvalidSize { operand: "window", found: 0, rule });
        }
        let n_queries = count_rows("q", q_len, n_heads * head_dim)?;
        let n_keys = count_rows("k", k_len, n_kv_heads * head_dim)?;
        let mut order: Vec<usize> = (0..runs.len()).collect();
        order.sort_by_key(|&index| (runs[index].query_start, runs[index].query_len));
        let mut due = 0;
        let mut checked = Vec::with_capacity(runs.len());
        for index in order {
            let run = &runs[index];
            if run.query_start != due {
                let found = run.query_start;
                return Err(KernelError::BrokenPartition { found, expected: due });
            }
            due = due.saturating_add(run.query_len);
            if due > n_queries {
                break;
            }
            if run.query_len > 0 {
                let path = Path::new(run, index, n_keys)?;
                checked.push(Run { query_len: run.query_len, path });
            }
        }
        if due != n_queries {
            return Err(KernelError::BrokenPartition { found: due, expected: n_queries });
        }
        let group = n_heads / n_kv_heads;
        Ok(Self { shape: *shape, group, n_queries, n_keys, runs: checked })
    }

    /// Refuses a path that holds a key twice.
    pub(super) fn check_distinct_keys(&self) -> Result<(), KernelError> {
        let mut last_seen = vec![usize::MAX; self.n_keys];
        for (index, run) in self.runs.iter().enumerate() {
            for &key in &run.path.keys {
                if last_seen[key] == index {
                    return Err(KernelError::RepeatedKey { key });
                }
                last_seen[key] = index;
            }
        }
        Ok(())
    }

    /// All queries in order, `most` a tile.
    pub(super) fn tiles(&self, most: usize) -> Vec<Tile<'_>> {
        let longest = (PIECE_ROWS / self.group).clamp(1, most);
        let window = self.shape.window.unwrap_or(usize::MAX);
        let mut tiles: Vec<Tile<'_>> = Vec::new();
        let mut query = 0;
        for run in &self.runs {
            for first in (0..run.query_len).step_by(longest) {
                let len = longest.min(run.query_len - first);
                if tiles.last().is_none_or(|tile| tile.n_queries + len > most) {
                    tiles.push(Tile { first_query: query, n_queries: 0, pieces: Vec::new() });
                }
                if let Some(tile) = tiles.last_mut() {
                    let offset = tile.n_queries;
                    tile.pieces.push(Piece { path: &run.path, first, len, offset, window });
                    tile.n_queries += len;
                }
                query += len;
            }
        }
        tiles
    }
}

impl Path {
    fn new(run: &QueryRun, index: usize, n_keys: usize) -> Result<Self, KernelError> {
        let own_end = run.own_start.saturating_add(run.query_len);
        let ends = run.prefix.iter().map(|range| range.end).chain([own_end]);
        if let Some(found) = ends.max().filter(|&end| end > n_keys) {
            let operand = "ends of the key ranges of runs";
            return Err(KernelError::OutOfRange { operand, index, found, limit: n_keys + 1 });
        }
        let prefix_len = run.prefix.iter().map(ExactSizeIterator::len).sum();
        let mut keys = Vec::with_capacity(prefix_len + run.query_len);
        keys.extend(run.prefix.iter().cloned().flatten());
        keys.extend(run.own_start..own_end);
        Ok(Self { keys, prefix_len })
    }
}

impl Piece<'_> {
    /// How many keys the piece's last query sees.
    pub(super) fn n_keys(&self) -> usize {
        self.path.prefix_len + self.first + self.len
    }

    /// How many keys at the start of the path are out of sight of the piece's first query.
    pub(super) fn first_key(&self) -> usize {
        (self.path.prefix_len + self.first + 1).saturating_sub(self.window)
    }

    /// The keys of `block` that the piece's query `i` sees, counted from the block's first.
    pub(super) fn seen(&self, block: usize, i: usize) -> Range<usize> {
        let end = self.path.prefix_len + self.first + i + 1;
        let in_block = |key: usize| key.saturating_sub(block * KEYS).min(KEYS);
        in_block(end.saturating_sub(self.window))..in_block(end)
    }

    /// The first query of the piece that sees a key of `block`.
    pub(super) fn first_seeing(&self, block: usize) -> usize {
        (block * KEYS).saturating_sub(self.path.prefix_len + self.first)
    }

    /// The number of the piece's queries before the first whose window is past `block`.
    pub(super) fn end_seeing(&self, block: usize) -> usize {
        let past = ((block + 1) * KEYS).saturating_add(self.window) - 1;
        past.saturating_sub(self.path.prefix_len + self.first).min(self.len)
    }

    /// The keys of `block` that the piece's last query sees, and those before its window.
    pub(super) fn keys(&self, block: usize) -> &[usize] {
        &self.path.keys[block * KEYS..self.n_keys().min((block + 1) * KEYS)]
    }
}

impl Tile<'_> {
    /// Blocks of the longest path.
    pub(super) fn n_blocks(&self) -> usize {
        self.pieces.iter().map(|piece| piece.n_keys().div_ceil(KEYS)).max().unwrap_or(0)
    }

    /// The pieces with a query that sees a key of `block`.
    pub(super) fn pieces_seeing(&self, block: usize) -> impl Iterator<Item = &Piece<'_>> {
        self.pieces.iter().filter(move |piece| {
            piece.n_keys() > block * KEYS && piece.first_key() < (block + 1) * KEYS
        })
    }

    /// The queries that see keys of `block`, those that see the same keys together.
    pub(super) fn families(&self, block: usize) -> Vec<Family<'_>> {
        let mut families: Vec<Family<'_>> = Vec::new();
        for piece in self.pieces_seeing(block) {
            let keys = piece.keys(block);
            let (first, end) = (piece.first_seeing(block), piece.end_seeing(block));
            let seen = (first..end).map(|i| piece.seen(block, i));
            let sees_all = seen.clone().all(|seen| seen == (0..keys.len()));
            match families.last_mut() {
                Some(last)
                    if sees_all
                        && last.sees_all
                        && last.first + last.seen.len() == piece.offset + first
                        && last.keys == keys =>
                {
                    last.seen.extend(seen);
                }
                _ => families.push(Family {
                    keys,
                    first: piece.offset + first,
                    seen: seen.collect(),
                    sees_all,
                }),
            }
        }
        families
    }
}

/// Consecutive queries of a tile whose keys of a block lie in the same rows.
pub(super) struct Family<'a> {
    /// The keys that its last query sees, and those before its window.
    pub(super) keys: &'a [usize],
    /// The first query, counted from the tile's first.
    pub(super) first: usize,
    /// Which of the keys each query sees; neither end ever falls.
    pub(super) seen: Vec<Range<usize>>,
    /// Whether every query sees all of them.
    sees_all: bool,
}

/// The rows of `x` for one key head at `keys`, as many as there are.
#[inline(always)]
pub(super) fn key_rows<'a>(
    x: &'a [f32],
    keys: &[usize],
    shape: &AttentionShape,
    kv_head: usize,
) -> [&'a [f32]; KEYS] {
    let mut rows = [&x[..0]; KEYS];
    for (row, key) in rows.iter_mut().zip(keys) {
        *row = &x[(key * shape.n_kv_heads + kv_head) * shape.head_dim..][..shape.head_dim];
    }
    rows
}
