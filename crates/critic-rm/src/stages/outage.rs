use super::session::Session;
use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_engine::EngineErrorKind;

/// Items in a row that no server answered after which none is asked any more.
const HOPELESS: usize = 8;

/// What keeps a stage from being finished: items that stay open.
#[derive(Debug, Default)]
pub(super) struct Outage {
    in_a_row: usize,
    n_open: usize,
    reason: Option<String>,
}

impl Outage {
    /// Takes the failure of an item in; whether the item stays open.
    pub(super) fn failed(&mut self, kind: &EngineErrorKind) -> bool {
        if !kind.stays_open() {
            return false;
        }
        self.in_a_row += 1;
        self.n_open += 1;
        self.reason.get_or_insert_with(|| kind.to_string());
        true
    }

    /// An item was answered.
    pub(super) fn answered(&mut self) {
        self.in_a_row = 0;
    }

    /// Whether it is no use to go on.
    pub(super) fn is_hopeless(&self) -> bool {
        self.in_a_row >= HOPELESS
    }

    /// An error when items are open: what comes after the stage must not be made without them.
    pub(super) fn settle(self, session: &Session) -> Result<()> {
        let Some(reason) = self.reason else { return Ok(()) };
        Err(Fault::remote(anyhow!(
            "the remote critic could not answer for {} responses: {reason}. Everything it wrote is stored; go on with: {}",
            self.n_open,
            session.command
        )))
    }
}
