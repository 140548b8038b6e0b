use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was asked of the servers so far, and what came of it. Where replies are kept in a file, those
/// of earlier sittings count too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls that were sent, tries again among them.
    pub n_calls: u64,
    /// Tries again.
    pub n_retries: u64,
    /// Tokens read, as the servers count them.
    pub prompt_tokens: u64,
    /// Tokens written, as the servers count them.
    pub completion_tokens: u64,
    /// Replies that did not say how many tokens they took; they are missing in the sums.
    pub n_uncounted: u64,
    /// Answers that a filter of the server withheld.
    pub n_withheld: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_calls, n_retries, prompt_tokens, completion_tokens, .. } = self;
        write!(f, "{n_calls} requests, {prompt_tokens} + {completion_tokens} tokens")?;
        for (n, what) in [
            (*n_retries, "tried again"),
            (self.n_uncounted, "replies without a count"),
            (self.n_withheld, "answers withheld"),
        ] {
            if n > 0 {
                write!(f, ", {n} {what}")?;
            }
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) calls: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) prompt: AtomicU64,
    pub(crate) completion: AtomicU64,
    pub(crate) uncounted: AtomicU64,
    pub(crate) withheld: AtomicU64,
}

impl Counters {
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            n_calls: self.calls.load(Relaxed),
            n_retries: self.retries.load(Relaxed),
            prompt_tokens: self.prompt.load(Relaxed),
            completion_tokens: self.completion.load(Relaxed),
            n_uncounted: self.uncounted.load(Relaxed),
            n_withheld: self.withheld.load(Relaxed),
        }
    }
}
