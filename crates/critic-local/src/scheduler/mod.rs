//! The loop: heed cancellations, hand over what is finished, admit requests, advance everything by one
//! batch.

mod admit;
mod step;
mod take;

use crate::engine::EngineLimits;
use crate::job::{Finished, FinishedLeaf, LeafState, Running};
use crate::memory::KvMemory;
use crate::model::Model;
use crate::prepare::{Preparer, Request};
use crate::stats::EngineStats;
use critic_engine::{CancelToken, EngineErrorKind, PieceSink, TextPiece};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Instant;

/// Receives the result of the request at a place.
pub(crate) type Deliver<'a> =
    dyn FnMut(usize, Result<Finished, EngineErrorKind>) -> ControlFlow<()> + 'a;

/// Runs requests on one model over one growing forest.
pub(crate) struct Scheduler<'a> {
    model: Model<'a>,
    memory: &'a mut KvMemory,
    limits: &'a EngineLimits,
    preparer: Preparer<'a>,
    requests: Vec<&'a dyn Request>,
    stats: &'a mut EngineStats,
    waiting: VecDeque<Waiting>,
    /// The oldest first.
    running: Vec<Running>,
    /// Whether there was no room for the first of those that wait; until something is finished.
    is_blocked: bool,
    /// Memory for logits.
    logits: Vec<f32>,
}

/// A request that is not under way.
enum Waiting {
    /// It is text.
    Text(usize),
    /// It is tokens.
    Tokens(Box<Running>),
}

impl Waiting {
    fn index(&self) -> usize {
        match self {
            Waiting::Text(index) => *index,
            Waiting::Tokens(running) => running.index,
        }
    }
}

impl<'a> Scheduler<'a> {
    pub(crate) fn new(
        model: Model<'a>,
        memory: &'a mut KvMemory,
        limits: &'a EngineLimits,
        preparer: Preparer<'a>,
        requests: Vec<&'a dyn Request>,
        stats: &'a mut EngineStats,
    ) -> Self {
        Self {
            model,
            memory,
            limits,
            preparer,
            requests,
            stats,
            waiting: VecDeque::new(),
            running: Vec::new(),
            is_blocked: false,
            logits: Vec::new(),
        }
    }

    /// Runs every request to its end, or until `deliver` breaks.
    pub(crate) fn run(mut self, pieces: &mut PieceSink<'_>, deliver: &mut Deliver<'_>) {
        let _ = self.advance(pieces, deliver);
    }

    fn advance(
        &mut self,
        pieces: &mut PieceSink<'_>,
        deliver: &mut Deliver<'_>,
    ) -> ControlFlow<()> {
        self.enqueue(deliver)?;
        let has_control = self.requests.iter().any(|request| {
            let control = request.control();
            control.cancel.is_some() || control.deadline.is_some()
        });
        loop {
            if has_control {
                self.heed_controls(deliver)?;
            }
            self.hand_over(deliver)?;
            self.begin_answers();
            self.admit(deliver)?;
            if self.running.is_empty() {
                return ControlFlow::Continue(());
            }
            let batch = self.next_batch();
            if !batch.tokens.is_empty() {
                if let Err(error) = self.compute(&batch) {
                    let kind = EngineErrorKind::Compute { reason: error.to_string() };
                    self.running.iter_mut().for_each(|running| running.fail(kind.clone()));
                }
            } else if batch.n_done == 0 && !self.running.iter().any(Running::is_done) {
                self.relieve();
            }
            self.release_done_answers();
            self.tell(pieces);
        }
    }

    /// Ends what is cancelled or late.
    fn heed_controls(&mut self, deliver: &mut Deliver<'_>) -> ControlFlow<()> {
        let now = Instant::now();
        let fault = |requests: &[&dyn Request], index: usize| {
            let control = requests[index].control();
            if control.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
                Some(EngineErrorKind::Cancelled)
            } else if control.deadline.is_some_and(|deadline| deadline <= now) {
                Some(EngineErrorKind::Deadline)
            } else {
                None
            }
        };
        for job in 0..self.running.len() {
            let running = &mut self.running[job];
            match fault(&self.requests, running.index) {
                Some(EngineErrorKind::Deadline) if running.has_answers() => self.cut_short(job),
                Some(kind) => running.fail(kind),
                None => {}
            }
        }
        let mut ended = Vec::new();
        self.waiting.retain(|waiting| match fault(&self.requests, waiting.index()) {
            Some(kind) => {
                ended.push((waiting.index(), kind));
                false
            }
            None => true,
        });
        ended.into_iter().try_for_each(|(index, kind)| deliver(index, Err(kind)))
    }

    /// Delivers finished jobs and gives their rows back.
    fn hand_over(&mut self, deliver: &mut Deliver<'_>) -> ControlFlow<()> {
        let mut job = 0;
        while job < self.running.len() {
            if !self.running[job].is_done() {
                job += 1;
                continue;
            }
            let mut running = self.running.remove(job);
            self.release(&mut running);
            self.is_blocked = false;
            let index = running.index;
            let result = match running.failure.take() {
                Some(kind) => Err(kind),
                None => Ok(finished(running)),
            };
            deliver(index, result)?;
        }
        ControlFlow::Continue(())
    }

    /// Gives back all that a job holds; the prompt of one that has succeeded is kept for requests to
    /// come.
    fn release(&mut self, running: &mut Running) {
        for leaf in &mut running.leaves {
            for node in [leaf.end_node.take(), leaf.node.take()].into_iter().flatten() {
                self.memory.forest.release(node);
            }
        }
        if let Some(node) = running.prompt_node.take() {
            if running.is_done() && running.failure.is_none() {
                let n_shared = running.job.prompt.len() - running.job.n_private();
                self.memory.release_keeping(node, n_shared);
            } else {
                self.memory.forest.release(node);
            }
        }
    }

    /// Gives back the rows of answers that are done.
    fn release_done_answers(&mut self) {
        for running in &mut self.running {
            for leaf in running.leaves.iter_mut().filter(|leaf| leaf.is_done()) {
                for node in [leaf.end_node.take(), leaf.node.take()].into_iter().flatten() {
                    self.memory.forest.release(node);
                    self.is_blocked = false;
                    running.n_alone = 0;
                }
            }
        }
    }

    /// Hands new text over.
    fn tell(&mut self, pieces: &mut PieceSink<'_>) {
        for running in self.running.iter_mut().filter(|running| running.failure.is_none()) {
            let stop = &running.job.sampling.stop;
            for (answer, leaf) in running.leaves.iter_mut().enumerate().take(running.job.n) {
                let finish_reason = match leaf.state {
                    LeafState::Ended(reason) | LeafState::Done(reason) => Some(reason),
                    _ => None,
                };
                if leaf.is_told || leaf.state == LeafState::Waiting {
                    continue;
                }
                leaf.is_told = finish_reason.is_some();
                let text = leaf.text.take_piece(stop, leaf.is_told);
                if text.is_empty() && !leaf.is_told {
                    continue;
                }
                let piece = TextPiece { request: running.index, answer, text, finish_reason };
                if pieces(piece).is_break() {
                    running.failure.get_or_insert(EngineErrorKind::Cancelled);
                    break;
                }
            }
        }
    }
}

impl Drop for Scheduler<'_> {
    /// Whatever ended the call, nothing of it stays in the memory but kept prefixes.
    fn drop(&mut self) {
        for mut running in std::mem::take(&mut self.running) {
            self.release(&mut running);
        }
    }
}

fn finished(running: Running) -> Finished {
    let n_dropped_turns = running.job.n_dropped_turns;
    let leaves = running.leaves.into_iter().filter_map(|leaf| match leaf.state {
        LeafState::Done(finish_reason) => Some(FinishedLeaf {
            n_tokens: leaf.n_kept() + leaf.rest.len(),
            text: leaf.text.text().to_owned(),
            finish_reason,
            reward: leaf.reward,
            choices: leaf.choices,
            drawn: leaf.drawn,
        }),
        _ => None,
    });
    Finished { reward: running.reward, leaves: leaves.collect(), n_dropped_turns }
}
