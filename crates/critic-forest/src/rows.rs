use crate::ForestError;
use std::collections::BTreeMap;
use std::ops::Range;

/// Hands out runs of rows under a limit and takes them back; the lowest run that fits goes first.
#[derive(Debug, Clone)]
pub struct RowPool {
    limit: usize,
    end: usize,
    /// Free runs below `end`, by start; never adjacent to each other nor to `end`.
    free: BTreeMap<usize, usize>,
}

impl RowPool {
    /// A pool of at most `limit` rows.
    pub fn new(limit: usize) -> Self {
        Self { limit, end: 0, free: BTreeMap::new() }
    }

    /// One past the highest row in use.
    pub fn n_rows(&self) -> usize {
        self.end
    }

    /// Rows handed out.
    pub fn n_used(&self) -> usize {
        self.end - self.free.values().sum::<usize>()
    }

    /// The most rows that may be in use.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A run of `n` rows.
    ///
    /// # Errors
    /// [`ForestError::OutOfRows`] when no free run is long enough and the limit is reached.
    pub fn take(&mut self, n: usize) -> Result<Range<usize>, ForestError> {
        if let Some((&start, &len)) = self.free.iter().find(|&(_, &len)| len >= n && n > 0) {
            self.free.remove(&start);
            if len > n {
                self.free.insert(start + n, len - n);
            }
            return Ok(start..start + n);
        }
        match self.end.checked_add(n) {
            Some(end) if end <= self.limit => {
                let start = std::mem::replace(&mut self.end, end);
                Ok(start..end)
            }
            _ => Err(ForestError::OutOfRows { wanted: n, limit: self.limit }),
        }
    }

    /// Takes a run back.
    pub fn give_back(&mut self, run: Range<usize>) {
        if run.is_empty() {
            return;
        }
        let (mut start, mut end) = (run.start, run.end);
        if let Some((&before, &len)) = self.free.range(..start).next_back()
            && before + len == start
        {
            self.free.remove(&before);
            start = before;
        }
        if let Some(len) = self.free.remove(&end) {
            end += len;
        }
        if end == self.end {
            self.end = start;
        } else {
            self.free.insert(start, end - start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_limit_is_kept() {
        let mut pool = RowPool::new(4);
        let first = pool.take(3).unwrap();
        assert_eq!(pool.take(2).unwrap_err(), ForestError::OutOfRows { wanted: 2, limit: 4 });
        pool.give_back(first);
        assert_eq!(pool.take(4).unwrap(), 0..4);
    }

    proptest! {
        #[test]
        fn runs_in_use_never_overlap_and_all_come_back(sizes in prop::collection::vec((0usize..9, any::<bool>()), 1..60)) {
            let mut pool = RowPool::new(200);
            let mut held: Vec<Range<usize>> = Vec::new();
            for (size, release) in sizes {
                if release && !held.is_empty() {
                    let run = held.remove(size % held.len());
                    pool.give_back(run);
                } else if let Ok(run) = pool.take(size) {
                    prop_assert_eq!(run.len(), size);
                    for other in &held {
                        prop_assert!(run.is_empty() || other.is_empty() || run.end <= other.start || other.end <= run.start);
                    }
                    held.push(run);
                }
                prop_assert_eq!(pool.n_used(), held.iter().map(ExactSizeIterator::len).sum::<usize>());
            }
            for run in held {
                pool.give_back(run);
            }
            prop_assert_eq!((pool.n_rows(), pool.n_used()), (0, 0));
        }
    }
}
