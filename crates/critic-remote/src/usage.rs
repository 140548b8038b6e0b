use crate::RemoteSettings;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was asked of the servers so far.
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
}

impl Usage {
    /// What it cost at the configured prices.
    pub fn cost(&self, settings: &RemoteSettings) -> f64 {
        (self.prompt_tokens as f64 * settings.price_per_million_prompt
            + self.completion_tokens as f64 * settings.price_per_million_completion)
            / 1e6
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) calls: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) prompt: AtomicU64,
    pub(crate) completion: AtomicU64,
}

impl Counters {
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            n_calls: self.calls.load(Relaxed),
            n_retries: self.retries.load(Relaxed),
            prompt_tokens: self.prompt.load(Relaxed),
            completion_tokens: self.completion.load(Relaxed),
        }
    }
}
