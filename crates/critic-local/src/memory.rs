//! Which rows hold whose keys and values, and which prefixes stay for requests to come.

use crate::arena::KvArena;
use critic_forest::{Forest, ForestError, NodeId};
use std::collections::VecDeque;
use std::ops::Range;

/// The forest of all sequences under way, with the prefixes of finished ones as long as there is room.
#[derive(Debug)]
pub(crate) struct KvMemory {
    pub(crate) forest: Forest,
    pub(crate) arena: KvArena,
    /// Whether the row's keys and values are computed, or are in the batch that is being put together.
    ready: Vec<bool>,
    /// Ends of prefixes that no request uses but that are kept, the least recently used first.
    kept: VecDeque<NodeId>,
    peak_rows: usize,
}

impl KvMemory {
    pub(crate) fn new(arena: KvArena, row_limit: usize) -> Self {
        Self {
            forest: Forest::new(row_limit),
            arena,
            ready: Vec::new(),
            kept: VecDeque::new(),
            peak_rows: 0,
        }
    }

    /// The most rows that were in use at once.
    pub(crate) fn peak_rows(&self) -> usize {
        self.peak_rows
    }

    /// Gives a sequence its place, its last `n_private` tokens in rows of their own. What it shares with
    /// a kept prefix is not dropped to make room for the rest, unless nothing else helps.
    pub(crate) fn insert(
        &mut self,
        tokens: &[u32],
        n_private: usize,
    ) -> Result<NodeId, ForestError> {
        let shared =
            self.forest.hold_longest(&tokens[..tokens.len() - n_private.min(tokens.len())]);
        let mut inserted = self.with_room(|forest| forest.insert(None, tokens, n_private));
        if let Some(shared) = shared {
            self.forest.release(shared);
        }
        if inserted.is_err() {
            inserted = self.with_room(|forest| forest.insert(None, tokens, n_private));
        }
        let inserted = inserted?;
        let mut seen = 0;
        for run in self.forest.path_rows(inserted.node) {
            let fresh = inserted.n_shared.clamp(seen, seen + run.len()) - seen;
            seen += run.len();
            self.set_ready(run.start + fresh..run.end, false);
        }
        Ok(inserted.node)
    }

    /// Opens a leaf of `capacity` rows below `parent`.
    pub(crate) fn open_leaf(
        &mut self,
        parent: NodeId,
        capacity: usize,
    ) -> Result<NodeId, ForestError> {
        self.with_room(|forest| forest.open_leaf(parent, capacity))
    }

    /// Drops kept prefixes until `n` rows are free; whether they are.
    pub(crate) fn make_room(&mut self, n: usize) -> bool {
        while self.forest.row_limit() - self.forest.n_used_rows() < n {
            if !self.drop_oldest() {
                return false;
            }
        }
        true
    }

    /// Releases a sequence but keeps its first `n_tokens` tokens as long as there is room.
    pub(crate) fn release_keeping(&mut self, node: NodeId, n_tokens: usize) {
        if let Some(prefix) = self.forest.hold(node, n_tokens) {
            if let Some(at) = self.kept.iter().position(|&kept| kept == prefix) {
                self.kept.remove(at);
                self.forest.release(prefix);
            }
            self.kept.push_back(prefix);
        }
        self.forest.release(node);
    }

    /// Drops every kept prefix.
    pub(crate) fn drop_kept(&mut self) {
        while self.drop_oldest() {}
    }

    pub(crate) fn is_ready(&self, row: usize) -> bool {
        self.ready.get(row).copied().unwrap_or(false)
    }

    pub(crate) fn set_ready(&mut self, rows: Range<usize>, is_ready: bool) {
        if self.ready.len() < rows.end {
            self.ready.resize(rows.end, false);
        }
        self.ready[rows].fill(is_ready);
    }

    /// Tries until it fits or no kept prefix is left.
    fn with_room<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Forest) -> Result<T, ForestError>,
    ) -> Result<T, ForestError> {
        loop {
            match attempt(&mut self.forest) {
                Err(ForestError::OutOfRows { .. }) if self.drop_oldest() => {}
                result => {
                    self.peak_rows = self.peak_rows.max(self.forest.n_used_rows());
                    return result;
                }
            }
        }
    }

    fn drop_oldest(&mut self) -> bool {
        match self.kept.pop_front() {
            Some(prefix) => {
                self.forest.release(prefix);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(limit: usize) -> KvMemory {
        KvMemory::new(KvArena::new(1, 2, limit), limit)
    }

    #[test]
    fn kept_prefixes_go_least_recently_used_first() {
        let mut memory = memory(11);
        for start in [10, 20, 30] {
            let node = memory.insert(&[start, start + 1, start + 2, start + 3], 1).unwrap();
            memory.release_keeping(node, 3);
        }
        assert_eq!(memory.forest.n_used_rows(), 9);
        let used = memory.insert(&[10, 11, 12, 99], 1).unwrap();
        memory.release_keeping(used, 3);
        let node = memory.insert(&[1, 2, 3], 1).unwrap();
        assert!(memory.forest.hold_longest(&[20]).is_none(), "the oldest has gone");
        assert!(memory.forest.hold_longest(&[10]).is_some());
        memory.forest.release(node);
        assert_eq!(memory.peak_rows(), 10);
    }

    #[test]
    fn what_a_request_shares_is_dropped_last() {
        let mut memory = memory(10);
        for start in [10, 20] {
            let node = memory.insert(&[start, start + 1, start + 2, 0], 1).unwrap();
            memory.release_keeping(node, 3);
        }
        let longer: Vec<u32> = [10, 11, 12].into_iter().chain(50..56).collect();
        let node = memory.insert(&longer, 1).unwrap();
        assert_eq!(memory.forest.n_used_rows(), 9);
        memory.forest.release(node);
        assert!(memory.insert(&[7; 11], 1).is_err());
        memory.drop_kept();
        assert_eq!(memory.forest.n_nodes(), 0);
    }

    #[test]
    fn rows_are_not_ready_before_they_are_computed() {
        let mut memory = memory(10);
        let node = memory.insert(&[1, 2, 3], 1).unwrap();
        assert!((0..3).all(|row| !memory.is_ready(row)));
        memory.set_ready(0..3, true);
        let longer = memory.insert(&[1, 2, 9, 9], 1).unwrap();
        let rows: Vec<usize> = memory.forest.path_rows(longer).into_iter().flatten().collect();
        let ready: Vec<bool> = rows.iter().map(|&row| memory.is_ready(row)).collect();
        assert_eq!(ready, [true, true, false, false]);
        memory.forest.release(longer);
        memory.forest.release(node);
    }
}
