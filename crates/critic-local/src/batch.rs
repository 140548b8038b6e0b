//! One flat batch: tokens from many sequences with what is read after them.

use critic_forest::{Forest, NodeId};
use critic_kernels::attention::QueryRun;
use std::ops::Range;

/// What the logits after a token are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogitUse {
    /// The first token of every leaf of this job.
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
    /// Row of each token in the forest.
    pub(crate) rows: Vec<usize>,
    pub(crate) runs: Vec<QueryRun>,
    /// (index in the batch, use), by index.
    pub(crate) logits: Vec<(usize, LogitUse)>,
    pub(crate) rewards: Vec<(usize, RewardUse)>,
}

impl Batch {
    /// Adds the tokens at `positions` of the sequence that ends at `node`; returns the index of the first.
    ///
    /// `tokens` are those tokens. Everything before them is computed already, or stands in this batch.
    pub(crate) fn add(
        &mut self,
        forest: &Forest,
        node: NodeId,
        positions: Range<usize>,
        tokens: &[u32],
    ) -> usize {
        let first = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.positions.extend(positions.clone().map(|p| p as u32));
        let mut seen = 0;
        let mut prefix: Vec<Range<usize>> = Vec::new();
        for run in forest.path_rows(node) {
            let here = seen..seen + run.len();
            seen = here.end;
            let begin = positions.start.clamp(here.start, here.end);
            let end = positions.end.clamp(here.start, here.end);
            if begin < end {
                let rows = run.start + (begin - here.start)..run.start + (end - here.start);
                let mut own_prefix = prefix.clone();
                if run.start < rows.start {
                    own_prefix.push(run.start..rows.start);
                }
                let query_start = self.rows.len();
                let own_start = rows.start;
                self.rows.extend(rows.clone());
                self.runs.push(QueryRun {
                    query_start,
                    query_len: rows.len(),
                    prefix: own_prefix,
                    own_start,
                });
            }
            prefix.push(run);
        }
        debug_assert_eq!(self.rows.len(), self.tokens.len(), "every token has a row");
        first
    }
}
