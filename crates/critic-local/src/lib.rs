//! `Generator` and `Scorer` on a model of our own, over one growing forest.
//!
//! [`LocalEngine`] renders requests to tokens, inserts them in a [`critic_forest::Forest`] whose rows
//! are places in a key-value [`arena`](KvArena), and advances everything that is under way by one flat
//! batch at a time: prompt chunks, one token of every live answer, and what follows ended answers
//! (closing token with its reward, forced verdict, score). Prompts and responses that requests share
//! are computed once, within a call and between calls; a critique and its reward come from one pass
//! over one cache.
//! The numbers of a token depend on its own path alone, bit for bit, so results do not depend on what
//! else is in the batch.

mod answer;
mod arena;
mod batch;
mod end;
mod engine;
mod error;
mod job;
mod log_probs;
mod memory;
mod model;
mod prepare;
mod sampler;
mod scheduler;
mod stats;

pub use arena::KvArena;
pub use engine::{EngineLimits, LocalEngine};
pub use error::LocalError;
pub use sampler::sample;
pub use stats::EngineStats;
