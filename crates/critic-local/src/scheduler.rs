//! The loop: admit requests, advance everything by one batch, hand over what is finished.

use crate::arena::{CachedAttention, KvArena};
use crate::batch::{Batch, LogitUse, RewardUse};
use crate::engine::EngineLimits;
use crate::job::{Finished, FinishedLeaf, Job, Leaf, LeafState, Running};
use crate::sampler::sample;
use critic_engine::{EngineError, EngineErrorKind};
use critic_forest::{Forest, ForestError, NodeId};
use critic_model::{Decoder, ModelError, RewardHead};
use critic_types::FinishReason;
use rayon::prelude::*;
use std::collections::VecDeque;
use std::ops::ControlFlow;

/// Rows of logits that exist at once.
const LOGIT_CHUNK: usize = 128;

/// Runs jobs on one decoder over one growing forest.
#[derive(Debug)]
pub(crate) struct Scheduler<'a> {
    decoder: &'a Decoder,
    head: Option<&'a RewardHead>,
    arena: &'a mut KvArena,
    limits: &'a EngineLimits,
    end_of_turn: u32,
    forest: Forest,
    waiting: VecDeque<(usize, Job)>,
    running: Vec<Running>,
}

impl<'a> Scheduler<'a> {
    pub(crate) fn new(
        decoder: &'a Decoder,
        head: Option<&'a RewardHead>,
        arena: &'a mut KvArena,
        limits: &'a EngineLimits,
        end_of_turn: u32,
        jobs: Vec<(usize, Job)>,
    ) -> Self {
        let forest = Forest::new(limits.kv_tokens);
        Self {
            decoder,
            head,
            arena,
            limits,
            end_of_turn,
            forest,
            waiting: jobs.into(),
            running: Vec::new(),
        }
    }

    /// Runs every job to its end, or until `deliver` breaks.
    pub(crate) fn run(
        mut self,
        deliver: &mut dyn FnMut(
            usize,
            std::result::Result<Finished, EngineError>,
        ) -> ControlFlow<()>,
    ) {
        loop {
            if self.admit(deliver).is_break() {
                return;
            }
            if self.running.is_empty() {
                return;
            }
            let batch = self.next_batch();
            if batch.tokens.is_empty() {
                self.fail_all_stuck();
            } else if let Err(error) = self.compute(&batch) {
                let kind = EngineErrorKind::Compute { reason: error.to_string() };
                for running in &mut self.running {
                    running.failure = Some(kind.clone());
                    running.n_computed = running.job.prompt.len();
                }
            }
            if self.hand_over(deliver).is_break() {
                return;
            }
        }
    }

    /// Takes waiting jobs in while leaves and rows last.
    fn admit(
        &mut self,
        deliver: &mut dyn FnMut(
            usize,
            std::result::Result<Finished, EngineError>,
        ) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some((_, job)) = self.waiting.front() {
            let live: usize = self.running.iter().map(|r| r.job.n.max(1)).sum();
            if !self.running.is_empty() && live + job.n.max(1) > self.limits.max_leaves {
                return ControlFlow::Continue(());
            }
            let context = self.decoder.config().context_length;
            let Some((index, job)) = self.waiting.pop_front() else { break };
            let fault = if job.prompt.len() + job.n_new() > context {
                EngineErrorKind::TooLong { n_tokens: job.prompt.len(), n_new: job.n_new(), context }
            } else {
                match self.start(index, job.clone()) {
                    Ok(()) => continue,
                    Err(_) if !self.running.is_empty() => {
                        self.waiting.push_front((index, job));
                        return ControlFlow::Continue(());
                    }
                    Err(_) => out_of_memory(&job, self.limits.kv_tokens),
                }
            };
            deliver(index, Err(EngineError::new(&job.id, fault)))?;
        }
        ControlFlow::Continue(())
    }

    /// Gives a job its place in the forest.
    fn start(&mut self, index: usize, job: Job) -> std::result::Result<(), ForestError> {
        // What is read must be computed for this job itself.
        let n_private = match job.reward_position {
            Some(position) => job.prompt.len() - position,
            None => 1,
        };
        let inserted = self.forest.insert(None, &job.prompt, n_private)?;
        let mut leaves: Vec<Leaf> = Vec::with_capacity(job.n.max(1));
        let leaf = |node| Leaf {
            node,
            tokens: Vec::new(),
            state: LeafState::Waiting,
            reward: None,
            log_probs: job.tails.iter().map(|tail| vec![0.0; tail.choices.len()]).collect(),
            tail_nodes: Vec::new(),
        };
        for _ in 0..job.n {
            match self.forest.open_leaf(inserted.node, job.sampling.max_new_tokens) {
                Ok(node) => leaves.push(leaf(node)),
                Err(error) => {
                    for leaf in leaves {
                        self.forest.release(leaf.node);
                    }
                    self.forest.release(inserted.node);
                    return Err(error);
                }
            }
        }
        if job.n == 0 && !job.tails.is_empty() {
            leaves.push(leaf(inserted.node));
        }
        self.running.push(Running {
            index,
            prompt_node: inserted.node,
            n_computed: inserted.n_shared,
            reward: None,
            leaves,
            failure: None,
            job,
        });
        Ok(())
    }

    /// The tokens of the next forward pass.
    fn next_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        for job in 0..self.running.len() {
            for leaf in 0..self.running[job].leaves.len() {
                match self.running[job].leaves[leaf].state {
                    LeafState::Growing => self.add_newest_token(&mut batch, job, leaf),
                    LeafState::Ended(_) => {
                        if self.add_end(&mut batch, job, leaf).is_err() {
                            // No rows for the tails: they come when neighbours have finished.
                            self.release_tails(job, leaf);
                        }
                    }
                    LeafState::Waiting | LeafState::Done(_) => {}
                }
            }
        }
        let mut budget = self.limits.prefill_tokens;
        for (job, running) in self.running.iter_mut().enumerate() {
            let positions =
                running.n_computed..running.job.prompt.len().min(running.n_computed + budget);
            if positions.is_empty() {
                continue;
            }
            budget -= positions.len();
            let first = batch.add(
                &self.forest,
                running.prompt_node,
                positions.clone(),
                &running.job.prompt[positions.clone()],
            );
            running.n_computed = positions.end;
            if let Some(position) = running.job.reward_position.filter(|p| positions.contains(p)) {
                batch.rewards.push((first + position - positions.start, RewardUse::Prompt { job }));
            }
            if positions.end == running.job.prompt.len() {
                if running.job.n > 0 {
                    batch.logits.push((batch.tokens.len() - 1, LogitUse::First { job }));
                } else {
                    running
                        .leaves
                        .iter_mut()
                        .for_each(|leaf| leaf.state = LeafState::Ended(FinishReason::Stop));
                }
            }
        }
        batch
    }

    fn add_newest_token(&self, batch: &mut Batch, job: usize, leaf: usize) {
        let growing = &self.running[job].leaves[leaf];
        let position = self.forest.depth(growing.node) + growing.tokens.len() - 1;
        let index = batch.add(
            &self.forest,
            growing.node,
            position..position + 1,
            &growing.tokens[growing.tokens.len() - 1..],
        );
        batch.logits.push((index, LogitUse::Next { job, leaf }));
    }

    /// Adds what follows an ended leaf: its last token, the closing token, the tails.
    fn add_end(
        &mut self,
        batch: &mut Batch,
        job: usize,
        leaf: usize,
    ) -> std::result::Result<(), ForestError> {
        let running = &mut self.running[job];
        let ended = &mut running.leaves[leaf];
        let is_answer = running.job.n > 0;
        let mut nodes: Vec<(NodeId, usize, Vec<u32>)> = Vec::new();
        let closed = if is_answer
            && (running.job.read_reward || running.job.tails.iter().any(|tail| tail.after_close))
        {
            let node = self.forest.insert(Some(ended.node), &[self.end_of_turn], 1)?.node;
            ended.tail_nodes.push(node);
            nodes.push((node, 1, vec![self.end_of_turn]));
            node
        } else {
            ended.node
        };
        let mut reads: Vec<(NodeId, usize, LogitUse)> = Vec::new();
        for (tail_idx, tail) in running.job.tails.iter().enumerate() {
            let below = if tail.after_close { closed } else { ended.node };
            let start = self.forest.depth(below) + self.forest.tokens(below).len();
            for (choice_idx, choice) in tail.choices.iter().enumerate() {
                let mut tokens = tail.lead.clone();
                tokens.extend_from_slice(&choice[..choice.len() - 1]);
                let inserted = self.forest.insert(Some(below), &tokens, 0)?;
                ended.tail_nodes.push(inserted.node);
                for (offset, &token) in choice.iter().enumerate() {
                    let use_ =
                        LogitUse::Choice { job, leaf, tail: tail_idx, choice: choice_idx, token };
                    reads.push((inserted.node, start + tail.lead.len() - 1 + offset, use_));
                }
                if inserted.n_shared < tokens.len() {
                    nodes.push((
                        inserted.node,
                        tokens.len() - inserted.n_shared,
                        tokens[inserted.n_shared..].to_vec(),
                    ));
                }
            }
        }
        // Rows are all there: from here on nothing fails.
        let mut index_of_row = std::collections::HashMap::new();
        if is_answer
            && let Some(&last) = ended.tokens.last()
            && matches!(ended.state, LeafState::Ended(FinishReason::Length))
        {
            let position = self.forest.depth(ended.node) + ended.tokens.len() - 1;
            batch.add(&self.forest, ended.node, position..position + 1, &[last]);
        }
        for (node, n_new, tokens) in nodes {
            let end = self.forest.depth(node) + self.forest.tokens(node).len();
            let first = batch.add(&self.forest, node, end - n_new..end, &tokens);
            for index in first..batch.tokens.len() {
                index_of_row.insert(batch.rows[index], index);
            }
            if node == closed && running.job.read_reward {
                batch.rewards.push((first, RewardUse::Leaf { job, leaf }));
            }
        }
        for (node, position, use_) in reads {
            let row =
                self.forest.row_at(node, position).expect("a position of a tail that was inserted");
            batch.logits.push((index_of_row[&row], use_));
        }
        if let LeafState::Ended(reason) = ended.state {
            ended.state = LeafState::Done(reason);
        }
        Ok(())
    }

    /// Runs the batch and takes in what is read from it.
    fn compute(&mut self, batch: &Batch) -> Result<(), ModelError> {
        self.arena.reserve_rows(self.forest.n_rows());
        let mut attention =
            CachedAttention { arena: &mut *self.arena, rows: &batch.rows, runs: &batch.runs };
        let hidden = self.decoder.hidden(&batch.tokens, &batch.positions, &mut attention)?;
        self.take_rewards(batch, &hidden)?;
        let mut logits = Vec::new();
        for chunk in batch.logits.chunks(LOGIT_CHUNK) {
            let rows = self.gather(&hidden, chunk.iter().map(|&(index, _)| index));
            self.decoder.logits(&rows, &mut logits)?;
            self.take_logits(chunk, &logits);
        }
        Ok(())
    }

    /// The hidden states at these places of a batch.
    fn gather(&self, hidden: &[f32], places: impl Iterator<Item = usize>) -> Vec<f32> {
        let d_model = self.decoder.config().d_model;
        places.flat_map(|place| &hidden[place * d_model..][..d_model]).copied().collect()
    }

    fn take_rewards(&mut self, batch: &Batch, hidden: &[f32]) -> Result<(), ModelError> {
        let Some(head) = self.head.filter(|_| !batch.rewards.is_empty()) else { return Ok(()) };
        let places = batch.rewards.iter().map(|&(index, _)| index);
        let rewards = head.rewards(&self.gather(hidden, places))?;
        for (&(_, use_), reward) in batch.rewards.iter().zip(rewards) {
            match use_ {
                RewardUse::Prompt { job } => self.running[job].reward = Some(reward),
                RewardUse::Leaf { job, leaf } => {
                    self.running[job].leaves[leaf].reward = Some(reward);
                }
            }
        }
        Ok(())
    }

    fn take_logits(&mut self, uses: &[(usize, LogitUse)], logits: &[f32]) {
        enum Read {
            Tokens(Vec<Option<u32>>),
            LogProb(f64),
        }
        let width = logits.len() / uses.len();
        let draw = |running: &Running, leaf: usize| {
            let node =
                running.job.seed.index(leaf as u64).index(running.leaves[leaf].tokens.len() as u64);
            node.uniform()
        };
        let reads: Vec<Read> = uses
            .par_iter()
            .zip(logits.par_chunks(width))
            .map(|(&(_, use_), row)| match use_ {
                LogitUse::First { job } => {
                    let running = &self.running[job];
                    Read::Tokens(
                        (0..running.leaves.len())
                            .map(|l| sample(row, &running.job.sampling, draw(running, l)))
                            .collect(),
                    )
                }
                LogitUse::Next { job, leaf } => {
                    let running = &self.running[job];
                    Read::Tokens(vec![sample(row, &running.job.sampling, draw(running, leaf))])
                }
                LogitUse::Choice { token, .. } => Read::LogProb(log_prob(row, token)),
            })
            .collect();
        for (&(_, use_), read) in uses.iter().zip(reads) {
            match (use_, read) {
                (LogitUse::First { job }, Read::Tokens(tokens)) => {
                    for (leaf, token) in tokens.into_iter().enumerate() {
                        self.grow(job, leaf, token);
                    }
                }
                (LogitUse::Next { job, leaf }, Read::Tokens(tokens)) => {
                    self.grow(job, leaf, tokens[0]);
                }
                (LogitUse::Choice { job, leaf, tail, choice, .. }, Read::LogProb(value)) => {
                    self.running[job].leaves[leaf].log_probs[tail][choice] += value;
                    if value.is_nan() {
                        self.running[job].failure =
                            Some(EngineErrorKind::NonFinite { what: "logits".to_owned() });
                    }
                }
                _ => {}
            }
        }
    }

    /// Puts a drawn token on a leaf, or ends it.
    fn grow(&mut self, job: usize, leaf: usize, token: Option<u32>) {
        let running = &mut self.running[job];
        let Some(token) = token else {
            running.failure = Some(EngineErrorKind::NonFinite { what: "logits".to_owned() });
            return;
        };
        let max_new_tokens = running.job.sampling.max_new_tokens;
        let growing = &mut running.leaves[leaf];
        if token == self.end_of_turn {
            growing.state = LeafState::Ended(FinishReason::Stop);
            return;
        }
        growing.tokens.push(token);
        self.forest.append(growing.node, token).expect("a leaf has a row for each of its tokens");
        growing.state = if growing.tokens.len() == max_new_tokens {
            LeafState::Ended(FinishReason::Length)
        } else {
            LeafState::Growing
        };
    }

    /// Delivers finished jobs and gives their rows back.
    fn hand_over(
        &mut self,
        deliver: &mut dyn FnMut(
            usize,
            std::result::Result<Finished, EngineError>,
        ) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut job = 0;
        while job < self.running.len() {
            if !self.running[job].is_done() {
                job += 1;
                continue;
            }
            for leaf in 0..self.running[job].leaves.len() {
                self.release_tails(job, leaf);
            }
            let running = self.running.remove(job);
            if running.job.n > 0 {
                running.leaves.iter().for_each(|leaf| self.forest.release(leaf.node));
            }
            self.forest.release(running.prompt_node);
            let result = match running.error() {
                Some(error) => Err(error),
                None => Ok(finished(&running)),
            };
            deliver(running.index, result)?;
        }
        ControlFlow::Continue(())
    }

    fn release_tails(&mut self, job: usize, leaf: usize) {
        // Children go before their parents.
        for node in std::mem::take(&mut self.running[job].leaves[leaf].tail_nodes).into_iter().rev()
        {
            self.forest.release(node);
        }
    }

    /// Nothing can be computed: the rows are used up by leaves whose tails have no place.
    fn fail_all_stuck(&mut self) {
        for running in &mut self.running {
            running.failure = Some(out_of_memory(&running.job, self.limits.kv_tokens));
            running.n_computed = running.job.prompt.len();
        }
    }
}

fn finished(running: &Running) -> Finished {
    let leaves = running.leaves.iter().filter_map(|leaf| match leaf.state {
        LeafState::Done(finish_reason) => Some(FinishedLeaf {
            tokens: leaf.tokens.clone(),
            finish_reason,
            reward: leaf.reward,
            log_probs: leaf.log_probs.clone(),
        }),
        _ => None,
    });
    Finished { reward: running.reward, leaves: leaves.collect() }
}

fn out_of_memory(job: &Job, limit: usize) -> EngineErrorKind {
    EngineErrorKind::OutOfMemory { n_tokens: job.prompt.len() + job.n.max(1) * job.n_new(), limit }
}

/// ln P(token) under the softmax of these logits, nats; NaN when a logit is.
fn log_prob(logits: &[f32], token: u32) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - max).exp()).sum();
    f64::from(logits[token as usize]) - f64::from(max) - sum.ln()
}
