//! One flat batch: tokens from many sequences with what is read after them.

use critic_kernels::attention::QueryRun;
use std::ops::Range;

/// What the logits after a token are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogitUse {
    /// The first token of every leaf of this job that waits for one.
    First { job: usize },
    /// The next token of this leaf.
    Next { job: usize, leaf: usize },
    /// The probability of a token of a choice.
    Choice { job: usize, leaf: usize, tail: usize, choice: usize, token: u32 },
}

/// Whose reward is read at a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RewardUse {
    /// The response itself.
    Prompt { job: usize },
    /// The critique that this leaf has closed.
    Leaf { job: usize, leaf: usize },
}

/// Tokens of one forward pass.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) tokens: Vec<u32>,
    pub(crate) positions: Vec<u32>,
    /// Row of each token in the arena.
    pub(crate) rows: Vec<usize>,
    pub(crate) runs: Vec<QueryRun>,
    /// (index in the batch, use), by index.
    pub(crate) logits: Vec<(usize, LogitUse)>,
    pub(crate) rewards: Vec<(usize, RewardUse)>,
    /// Answers that are done without anything more to compute.
    pub(crate) n_done: usize,
}

impl Batch {
    /// Adds the tokens at `positions` of a sequence whose tokens lie in the rows `path`, in order;
    /// returns the index of the first.
    ///
    /// `tokens` are those tokens. Everything before them is computed already, or stands in this batch.
    pub(crate) fn add(
        &mut self,
        path: &[Range<usize>],
        positions: Range<usize>,
        tokens: &[u32],
    ) -> usize {
        let first = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.positions.extend(positions.clone().map(|p| p as u32));
        let mut seen = 0;
        for (at, run) in path.iter().enumerate() {
            let here = seen..seen + run.len();
            seen = here.end;
            let begin = positions.start.clamp(here.start, here.end);
            let end = positions.end.clamp(here.start, here.end);
            if begin < end {
                let rows = run.start + (begin - here.start)..run.start + (end - here.start);
                let mut prefix = path[..at].to_vec();
                if run.start < rows.start {
                    prefix.push(run.start..rows.start);
                }
                let query_start = self.rows.len();
                let own_start = rows.start;
                self.rows.extend(rows.clone());
                self.runs.push(QueryRun { query_start, query_len: rows.len(), prefix, own_start });
            }
        }
        debug_assert_eq!(self.rows.len(), self.tokens.len(), "every token has a row");
        first
    }
}

/// The rows of the first `n` tokens of a path.
pub(crate) fn clip(path: &[Range<usize>], n: usize) -> Vec<Range<usize>> {
    let mut left = n;
    let mut clipped = Vec::with_capacity(path.len());
    for run in path {
        let len = run.len().min(left);
        if len == 0 {
            break;
        }
        clipped.push(run.start..run.start + len);
        left -= len;
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_over_two_runs_sees_all_before_it() {
        let mut batch = Batch::default();
        let first = batch.add(&[5..8, 20..24], 2..5, &[1, 2, 3]);
        assert_eq!((first, &batch.rows[..]), (0, &[7, 20, 21][..]));
        assert_eq!(batch.positions, [2, 3, 4]);
        let found: Vec<_> = batch.runs.iter().map(|run| (run.query_len, run.own_start)).collect();
        assert_eq!(found, [(1, 7), (2, 20)]);
        let seen =
            |run: usize| batch.runs[run].prefix.iter().cloned().flatten().collect::<Vec<_>>();
        assert_eq!((seen(0), seen(1)), (vec![5, 6], vec![5, 6, 7]));
    }

    #[test]
    fn a_path_is_clipped_to_its_first_tokens() {
        assert_eq!(clip(&[5..8, 20..24], 5), [5..8, 20..22]);
        assert_eq!(clip(&[5..8, 20..24], 3).into_iter().flatten().collect::<Vec<_>>(), [5, 6, 7]);
        assert!(clip(&[5..8, 20..24], 0).is_empty());
    }
}
