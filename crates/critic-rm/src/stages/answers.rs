use super::critic::{CriticEngine, Progress};
use super::session::Session;
use crate::exit::Fault;
use crate::progress::{Cancel, Meter};
use anyhow::{Result, anyhow};
use critic_engine::EngineError;
use critic_store::StoreError;
use std::ops::ControlFlow;

/// Items in a row that no server answered after which none is asked any more.
const HOPELESS: usize = 8;

/// A critic's answers to one stage's questions, stored and counted as they come.
#[derive(Debug)]
pub(super) struct Answers {
    meter: Meter,
    progress: Progress,
    cancel: Cancel,
    stored: Result<(), StoreError>,
    n_unanswered_in_a_row: usize,
    n_open: usize,
    /// Why the first open item stays open.
    reason: Option<String>,
}

impl Answers {
    /// Of `engine` at `doing`, which stands at `n_done` of `total`.
    pub(super) fn new(
        session: &Session,
        engine: &CriticEngine,
        doing: &str,
        total: usize,
        n_done: usize,
    ) -> Self {
        Self {
            meter: Meter::new(doing, total as u64, n_done as u64),
            progress: engine.progress(),
            cancel: session.cancel.clone(),
            stored: Ok(()),
            n_unanswered_in_a_row: 0,
            n_open: 0,
            reason: None,
        }
    }

    /// Takes an answer in and says whether to go on. `keep` stores it, or that there is none; it is not
    /// called for an item that stays open, which another sitting asks again.
    pub(super) fn take<T>(
        &mut self,
        answer: Result<T, EngineError>,
        keep: impl FnOnce(Result<T, EngineError>) -> Result<(), StoreError>,
    ) -> ControlFlow<()> {
        match answer {
            Err(error) if error.kind.stays_open() => {
                self.n_unanswered_in_a_row += 1;
                self.n_open += 1;
                self.reason.get_or_insert_with(|| error.kind.to_string());
            }
            answer => {
                if answer.is_ok() {
                    self.n_unanswered_in_a_row = 0;
                }
                self.stored = keep(answer);
            }
        }
        self.meter.advance(self.progress.say());
        let is_hopeless = self.n_unanswered_in_a_row >= HOPELESS;
        match self.stored.is_err() || self.cancel.is_set() || is_hopeless {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// What was asked of servers so far; empty for a local critic.
    pub(super) fn taken(&self) -> String {
        self.progress.say()
    }

    /// The seconds that it took, once every item has its answer.
    ///
    /// # Errors
    /// When an answer could not be stored, when the work was interrupted, and when items are open: what
    /// comes after the stage must not be made without them.
    pub(super) fn finish(self, session: &Session) -> Result<f64> {
        let seconds = self.meter.finish();
        self.stored?;
        if self.cancel.is_set() {
            return Err(session.interrupted());
        }
        let Some(reason) = self.reason else { return Ok(seconds) };
        Err(Fault::remote(anyhow!(
            "the remote critic could not answer for {} responses: {reason}. Everything it wrote is stored; go on with: {}",
            self.n_open,
            session.command
        )))
    }
}
