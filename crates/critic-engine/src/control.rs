use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// When a request ends before its time, and what happens to one that is too long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestControl {
    /// Answers under way at this moment are cut, closed, and handed over with
    /// [`FinishReason::Deadline`](critic_types::FinishReason::Deadline); a request of which no answer
    /// has begun fails.
    pub deadline: Option<Instant>,
    /// Once set, the request ends with [`Cancelled`](crate::EngineErrorKind::Cancelled) and what it
    /// holds is free before the next token is computed.
    pub cancel: Option<CancelToken>,
    /// What happens when the request does not fit the model's context.
    pub overflow: Overflow,
}

/// What happens to a conversation that does not fit the model's context together with its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The request fails.
    #[default]
    Refuse,
    /// The prompt's oldest turns are left out until it fits, a user's turn with its answer at a time;
    /// the system turn and the last turn of the user stay. How many is counted in the result.
    DropOldestTurns,
}

/// Cancels requests from anywhere; clones are the same token.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels every request that carries the token.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Something to keep as long as the answer is wanted: dropping it cancels.
    #[must_use]
    pub fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }
}

impl PartialEq for CancelToken {
    /// Whether both are the same token.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Sets its [`CancelToken`] when it is dropped.
#[derive(Debug)]
pub struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_the_guard_cancels_every_clone() {
        let token = CancelToken::new();
        let clone = token.clone();
        let guard = token.cancel_on_drop();
        assert!(!clone.is_cancelled());
        drop(guard);
        assert!(clone.is_cancelled() && clone == token && clone != CancelToken::new());
    }
}
