//! The tokens of the next forward pass.

use super::Scheduler;
use crate::batch::{Batch, LogitUse, RewardUse};
use crate::end::{End, EndedAnswer};
use crate::job::{LeafState, Running};
use critic_engine::EngineErrorKind;
use critic_forest::ForestError;
use critic_types::FinishReason;
use std::ops::Range;

impl Scheduler<'_> {
    /// One token of every growing answer, what follows ended ones, and prompt tokens up to the budget.
    pub(super) fn next_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        for job in 0..self.running.len() {
            for leaf in 0..self.running[job].leaves.len() {
                match self.running[job].leaves[leaf].state {
                    LeafState::Growing => self.add_newest_token(&mut batch, job, leaf),
                    LeafState::Ended(reason) => self.add_end(&mut batch, job, leaf, reason),
                    LeafState::Waiting | LeafState::Drawn | LeafState::Done(_) => {}
                }
            }
        }
        let mut budget = self.limits.prefill_tokens;
        for job in 0..self.running.len() {
            self.add_prompt(&mut batch, job, &mut budget);
        }
        batch.logits.sort_by_key(|&(index, _)| index);
        batch
    }

    fn add_newest_token(&mut self, batch: &mut Batch, job: usize, leaf: usize) {
        let path = self.path(job, leaf);
        let running = &mut self.running[job];
        let growing = &mut running.leaves[leaf];
        let start = running.job.prompt.len();
        let (from, to) = (growing.n_computed, growing.tokens.len());
        let first = batch.add(&path, start + from..start + to, &growing.tokens[from..]);
        growing.n_computed = to;
        self.stats.answer_tokens_computed += to - from;
        batch.logits.push((first + to - from - 1, LogitUse::Next { job, leaf }));
    }

    /// Adds what follows an ended answer; without rows for it the answer waits until others are done.
    fn add_end(&mut self, batch: &mut Batch, job: usize, leaf: usize, reason: FinishReason) {
        if self.running[job].job.needs_end() {
            match self.try_add_end(batch, job, leaf) {
                Ok(()) => {}
                Err(EndFault::NoRows) => return,
                Err(EndFault::Text(reason)) => {
                    self.running[job].fail(EngineErrorKind::Render { reason });
                }
            }
        } else {
            batch.n_done += 1;
        }
        self.running[job].leaves[leaf].state = LeafState::Done(reason);
    }

    fn try_add_end(&mut self, batch: &mut Batch, job: usize, leaf: usize) -> Result<(), EndFault> {
        let running = &mut self.running[job];
        let prompt_node = running.prompt_node.ok_or(EndFault::NoRows)?;
        let n_kept = running.leaves[leaf].n_kept();
        let ended = &mut running.leaves[leaf];
        if n_kept > 0 && ended.node.is_none() {
            let node = self.memory.open_leaf(prompt_node, n_kept)?;
            for &token in &ended.tokens[..n_kept] {
                self.memory.forest.append(node, token)?;
            }
            ended.node = Some(node);
        }
        let path = self.path(job, leaf);
        let Running { job: asked, leaves, .. } = &mut self.running[job];
        let ended = &mut leaves[leaf];
        let is_answer = asked.n > 0;
        let read_reward = is_answer && asked.read_reward;
        let is_closed = read_reward || (is_answer && asked.tails.iter().any(|t| t.after_close));
        let answer = EndedAnswer {
            job,
            leaf,
            prompt: &asked.prompt,
            tokens: &ended.tokens[..n_kept],
            rest: ended.rest.clone(),
            text: &ended.text,
            closing: is_closed.then(|| self.preparer.renderer.end_of_turn()),
            read_reward,
        };
        let end = End::new(&answer, &asked.tails, self.preparer.renderer.tokenizer())
            .map_err(|error| EndFault::Text(error.to_string()))?;
        let end_node = self.memory.open_leaf(prompt_node, end.n_rows())?;
        ended.end_node = Some(end_node);
        if ended.n_computed < n_kept {
            let start = asked.prompt.len();
            let tokens = &ended.tokens[ended.n_computed..n_kept];
            batch.add(&path, start + ended.n_computed..start + n_kept, tokens);
            self.stats.answer_tokens_computed += tokens.len();
            ended.n_computed = n_kept;
        }
        end.add(batch, &path, self.memory.forest.rows(end_node).start);
        self.stats.end_tokens_computed += end.n_rows();
        Ok(())
    }

    /// Adds prompt tokens that nobody has computed, and those after which something is read.
    fn add_prompt(&mut self, batch: &mut Batch, job: usize, budget: &mut usize) {
        let running = &mut self.running[job];
        let n_prompt = running.job.prompt.len();
        if running.n_read == n_prompt || running.failure.is_some() {
            return;
        }
        let private_start = n_prompt - running.job.n_private();
        let rows: Vec<usize> = running.prompt_path.iter().cloned().flatten().collect();
        while running.n_read < n_prompt {
            let is_needed = |memory: &crate::memory::KvMemory, position: usize| {
                position >= private_start || !memory.is_ready(rows[position])
            };
            if !is_needed(self.memory, running.n_read) {
                running.n_read += 1;
                self.stats.prompt_tokens_reused += 1;
                continue;
            }
            let start = running.n_read;
            let most = n_prompt.min(start + *budget);
            let end = (start..most).find(|&at| !is_needed(self.memory, at)).unwrap_or(most);
            if end == start {
                return;
            }
            *budget -= end - start;
            let first =
                batch.add(&running.prompt_path, start..end, &running.job.prompt[start..end]);
            for &row in &rows[start..end] {
                self.memory.set_ready(row..row + 1, true);
            }
            running.n_read = end;
            self.stats.prompt_tokens_computed += end - start;
            if let Some(position) = running.job.reward_position.filter(|p| (start..end).contains(p))
            {
                batch.rewards.push((first + position - start, RewardUse::Prompt { job }));
            }
        }
        if running.job.n > 0 {
            batch.logits.push((batch.tokens.len() - 1, LogitUse::First { job }));
        } else {
            let ended = LeafState::Ended(FinishReason::Stop);
            running.leaves.iter_mut().for_each(|leaf| leaf.state = ended);
        }
    }

    /// Rows of the prompt and of an answer, in order.
    fn path(&self, job: usize, leaf: usize) -> Vec<Range<usize>> {
        let running = &self.running[job];
        let mut path = running.prompt_path.clone();
        path.extend(running.leaves[leaf].node.map(|node| self.memory.forest.rows(node)));
        path
    }
}

/// Why what follows an answer is not in the batch.
enum EndFault {
    NoRows,
    /// It cannot be made tokens.
    Text(String),
}

impl From<ForestError> for EndFault {
    fn from(_: ForestError) -> Self {
        EndFault::NoRows
    }
}
