//! Runs a batch and takes in what is read from it.

use super::Scheduler;
use crate::answer::Cut;
use crate::batch::{Batch, LogitUse, RewardUse};
use crate::job::{LeafState, MAX_REST, Running};
use crate::log_probs::{DrawnLogProb, log_prob};
use crate::sampler::sample;
use critic_engine::EngineErrorKind;
use critic_model::ModelError;
use critic_text::TextError;
use critic_types::FinishReason;
use rayon::prelude::*;

/// Rows of logits that exist at once.
const LOGIT_CHUNK: usize = 128;

/// What is read from a row of logits.
enum Read {
    /// (leaf, token, its log-probabilities) for each answer that draws; without token where a logit is
    /// not a number.
    Drawn(Vec<(usize, Option<u32>, Option<DrawnLogProb>)>),
    LogProb(f64),
}

impl Scheduler<'_> {
    pub(super) fn compute(&mut self, batch: &Batch) -> Result<(), ModelError> {
        self.memory.arena.reserve_rows(self.memory.forest.n_rows());
        self.stats.n_steps += 1;
        let model = self.model;
        let hidden = model.hidden(batch, &mut self.memory.arena)?;
        if !batch.rewards.is_empty() {
            let rewards = model.rewards(&hidden, batch.rewards.iter().map(|&(at, _)| at))?;
            for (&(_, use_), reward) in batch.rewards.iter().zip(rewards) {
                match use_ {
                    RewardUse::Prompt { job } => self.running[job].reward = Some(reward),
                    RewardUse::Leaf { job, leaf } => {
                        self.running[job].leaves[leaf].reward = Some(reward);
                    }
                }
            }
        }
        let mut logits = std::mem::take(&mut self.logits);
        for chunk in batch.logits.chunks(LOGIT_CHUNK) {
            model.logits(&hidden, chunk.iter().map(|&(at, _)| at), &mut logits)?;
            self.take_logits(chunk, &logits);
        }
        self.logits = logits;
        Ok(())
    }

    fn take_logits(&mut self, uses: &[(usize, LogitUse)], logits: &[f32]) {
        let width = logits.len() / uses.len();
        let reads: Vec<Read> = uses
            .par_iter()
            .zip(logits.par_chunks(width))
            .map(|(&(_, use_), row)| match use_ {
                LogitUse::First { job } => {
                    let running = &self.running[job];
                    let waiting = (0..running.leaves.len())
                        .filter(|&leaf| running.leaves[leaf].state == LeafState::Waiting);
                    Read::Drawn(waiting.map(|leaf| draw(running, leaf, row)).collect())
                }
                LogitUse::Next { job, leaf } => {
                    Read::Drawn(vec![draw(&self.running[job], leaf, row)])
                }
                LogitUse::Choice { token, .. } => Read::LogProb(log_prob(row, token)),
            })
            .collect();
        for (&(_, use_), read) in uses.iter().zip(reads) {
            match (use_, read) {
                (LogitUse::First { job } | LogitUse::Next { job, .. }, Read::Drawn(drawn)) => {
                    for (leaf, token, log_probs) in drawn {
                        self.running[job].leaves[leaf].drawn.extend(log_probs);
                        self.grow(job, leaf, token);
                    }
                }
                (LogitUse::Choice { job, leaf, tail, choice, .. }, Read::LogProb(value)) => {
                    self.running[job].leaves[leaf].choices[tail][choice] += value;
                    if value.is_nan() {
                        self.running[job].fail(nan_logits());
                    }
                }
                _ => {}
            }
        }
    }

    /// Puts a drawn token on an answer, or ends it.
    fn grow(&mut self, job: usize, leaf: usize, token: Option<u32>) {
        let running = &mut self.running[job];
        let Some(token) = token else {
            running.fail(nan_logits());
            return;
        };
        if running.job.stop_tokens.contains(&token) {
            self.end_text(job, leaf, FinishReason::Stop);
            return;
        }
        let sampling = &running.job.sampling;
        let growing = &mut running.leaves[leaf];
        growing.tokens.push(token);
        if let Some(node) = growing.node {
            let row = self.memory.forest.append(node, token);
            row.expect("a leaf has a row for each of its tokens");
        }
        growing.state = if growing.node.is_some() { LeafState::Growing } else { LeafState::Drawn };
        let tokenizer = self.preparer.renderer.tokenizer();
        let is_last = growing.tokens.len() == sampling.max_new_tokens;
        let cut = growing.text.push(&growing.tokens, &sampling.stop, tokenizer);
        match cut {
            Ok(None) if is_last => self.end_text(job, leaf, FinishReason::Length),
            Ok(None) => {}
            cut => self.end(job, leaf, cut, FinishReason::Stop),
        }
    }

    /// Ends every answer of a job that is still being written: its deadline has passed.
    pub(super) fn cut_short(&mut self, job: usize) {
        for leaf in 0..self.running[job].leaves.len() {
            if matches!(self.running[job].leaves[leaf].state, LeafState::Drawn | LeafState::Growing)
            {
                self.end_text(job, leaf, FinishReason::Deadline);
            }
        }
    }

    /// Ends an answer where its tokens end, or before, when a stop string turns up in its last character.
    fn end_text(&mut self, job: usize, leaf: usize, reason: FinishReason) {
        let running = &mut self.running[job];
        let ended = &mut running.leaves[leaf];
        let tokenizer = self.preparer.renderer.tokenizer();
        let cut = ended.text.finish(&ended.tokens, &running.job.sampling.stop, tokenizer);
        self.end(job, leaf, cut, reason);
    }

    fn end(
        &mut self,
        job: usize,
        leaf: usize,
        cut: std::result::Result<Option<Cut>, TextError>,
        reason: FinishReason,
    ) {
        let tokenizer = self.preparer.renderer.tokenizer();
        let encoded = cut.and_then(|cut| match cut {
            Some(cut) => Ok((tokenizer.encode(&cut.rest)?, Some(cut))),
            None => Ok((Vec::new(), None)),
        });
        let running = &mut self.running[job];
        match encoded {
            Ok((rest, cut)) if rest.len() <= MAX_REST => {
                let ended = &mut running.leaves[leaf];
                ended.rest = rest;
                ended.state =
                    LeafState::Ended(if cut.is_some() { FinishReason::Stop } else { reason });
                ended.cut = cut;
            }
            Ok((rest, _)) => running.fail(EngineErrorKind::Render {
                reason: format!(
                    "a stop string leaves {} tokens of one, more than {MAX_REST}; choose another",
                    rest.len()
                ),
            }),
            Err(error) => running.fail(EngineErrorKind::Render { reason: error.to_string() }),
        }
    }
}

/// The next token of an answer; its draw depends on seed, answer and position alone.
fn draw(
    running: &Running,
    leaf: usize,
    logits: &[f32],
) -> (usize, Option<u32>, Option<DrawnLogProb>) {
    let job = &running.job;
    let tokens = &running.leaves[leaf].tokens;
    let draw = job.seed.index(leaf as u64).index(tokens.len() as u64).uniform();
    let seen = if job.sampling.repetition_penalty == 1.0 {
        Vec::new()
    } else {
        [&job.prompt[..], tokens].concat()
    };
    let token = sample(logits, &job.sampling, &seen, draw);
    let log_probs = job.log_probs.zip(token).map(|(n, token)| DrawnLogProb::new(logits, token, n));
    (leaf, token, log_probs)
}

fn nan_logits() -> EngineErrorKind {
    EngineErrorKind::NonFinite { what: "logits".to_owned() }
}
