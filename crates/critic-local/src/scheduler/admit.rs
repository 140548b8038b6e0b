//! Which requests and answers are under way.

use super::{Deliver, Scheduler, Waiting};
use crate::job::{Leaf, LeafState, Running};
use critic_engine::EngineErrorKind;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

impl Scheduler<'_> {
    /// Puts every request in the queue; those that repeat another are refused.
    pub(super) fn enqueue(&mut self, deliver: &mut Deliver<'_>) -> ControlFlow<()> {
        let mut ids = HashSet::new();
        let mut drawing: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, request) in self.requests.iter().enumerate() {
            if !ids.insert(request.id()) {
                deliver(index, Err(EngineErrorKind::DuplicateId))?;
                continue;
            }
            if let Some(draws) = request.draws() {
                let same_seed = drawing.entry(draws.0.uniform().to_bits()).or_default();
                let twin = same_seed.iter().find(|&&i| self.requests[i].draws() == Some(draws));
                if let Some(&twin) = twin {
                    let other = self.requests[twin].id().to_owned();
                    deliver(index, Err(EngineErrorKind::DuplicateSeed { other }))?;
                    continue;
                }
                same_seed.push(index);
            }
            self.waiting.push_back(Waiting::Text(index));
        }
        ControlFlow::Continue(())
    }

    /// Takes waiting requests in while answers and rows last.
    pub(super) fn admit(&mut self, deliver: &mut Deliver<'_>) -> ControlFlow<()> {
        while !self.waiting.is_empty() {
            let n_open: usize = self.running.iter().map(Running::n_open).sum();
            if !self.running.is_empty() && (self.is_blocked || n_open >= self.limits.max_leaves) {
                break;
            }
            let running = match self.waiting.pop_front() {
                Some(Waiting::Text(index)) => match self.prepare(index) {
                    Ok(running) => Box::new(running),
                    Err(kind) => {
                        deliver(index, Err(kind))?;
                        continue;
                    }
                },
                Some(Waiting::Tokens(running)) => running,
                None => break,
            };
            if let Err(running) = self.start(running) {
                if self.running.is_empty() {
                    deliver(running.index, Err(self.out_of_memory(&running)))?;
                } else {
                    self.waiting.push_front(Waiting::Tokens(running));
                    self.is_blocked = true;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn prepare(&self, index: usize) -> Result<Running, EngineErrorKind> {
        let running = Running::new(index, self.requests[index].prepare(&self.preparer)?);
        if running.job.n_rows() > self.limits.kv_tokens {
            return Err(self.out_of_memory(&running));
        }
        Ok(running)
    }

    fn out_of_memory(&self, running: &Running) -> EngineErrorKind {
        let n_tokens = running.job.n_rows();
        EngineErrorKind::OutOfMemory { n_tokens, limit: self.limits.kv_tokens }
    }

    /// Gives a job's prompt its place, unless that leaves too little room for what is under way.
    fn start(&mut self, mut running: Box<Running>) -> Result<(), Box<Running>> {
        let job = &running.job;
        let Ok(node) = self.memory.insert(&job.prompt, job.n_private()) else {
            return Err(running);
        };
        let reserved: usize = self.running.iter().map(Running::n_reserved).sum();
        if !self.running.is_empty() && !self.memory.make_room(reserved + running.n_reserved()) {
            self.memory.forest.release(node);
            return Err(running);
        }
        running.prompt_path = self.memory.forest.path_rows(node);
        running.prompt_node = Some(node);
        running.n_read = 0;
        self.running.push(*running);
        Ok(())
    }

    /// Gives rows to answers whose first token is drawn, the oldest jobs' first.
    pub(super) fn begin_answers(&mut self) {
        let mut n_live = self
            .running
            .iter()
            .flat_map(|running| &running.leaves)
            .filter(|leaf| leaf.node.is_some())
            .count();
        let n_end_rows =
            self.running.iter().filter(|r| r.job.needs_end()).map(|r| r.job.n_end_rows()).max();
        for job in 0..self.running.len() {
            for leaf in 0..self.running[job].leaves.len() {
                let running = &mut self.running[job];
                if running.failure.is_some() || running.leaves[leaf].state != LeafState::Drawn {
                    continue;
                }
                if n_live >= self.limits.max_leaves {
                    return;
                }
                let n_rows = running.job.sampling.max_new_tokens;
                let Some(prompt) = running.prompt_node else { continue };
                let Ok(node) = self.memory.open_leaf(prompt, n_rows) else { return };
                if n_live > 0 && !self.memory.make_room(n_end_rows.unwrap_or(0)) {
                    self.memory.forest.release(node);
                    return;
                }
                let begun = &mut running.leaves[leaf];
                for &token in &begun.tokens {
                    let row = self.memory.forest.append(node, token);
                    row.expect("a leaf has a row for each of its tokens");
                }
                begun.node = Some(node);
                begun.state = LeafState::Growing;
                n_live += 1;
            }
        }
    }

    /// Nothing can be computed, because rows are missing: the youngest job gives its rows back and
    /// waits; its draws do not depend on time, so it writes the same answers again. One that is alone
    /// begins anew in an empty memory.
    pub(super) fn relieve(&mut self) {
        let Some(mut youngest) = self.running.pop() else { return };
        self.is_blocked = true;
        let begun = |leaf: &&Leaf| !leaf.tokens.is_empty() && !leaf.is_done();
        self.stats.n_restarted += youngest.leaves.iter().filter(begun).count();
        self.release(&mut youngest);
        let job = &youngest.job;
        for leaf in youngest.leaves.iter_mut().filter(|leaf| !leaf.is_done()) {
            *leaf = leaf.restarted(job);
        }
        youngest.n_read = 0;
        if !self.running.is_empty() {
            self.waiting.push_front(Waiting::Tokens(Box::new(youngest)));
            return;
        }
        self.memory.drop_kept();
        youngest.n_alone += 1;
        let is_hopeless = youngest.n_alone > 1;
        let fault = self.out_of_memory(&youngest);
        match self.start(Box::new(youngest)) {
            Ok(()) if is_hopeless => self.running[0].fail(fault),
            Ok(()) => {}
            Err(mut youngest) => {
                youngest.fail(fault);
                self.running.push(*youngest);
            }
        }
    }
}
