//! [`Generator`](critic_engine::Generator) on any OpenAI-compatible server: vLLM, SGLang, llama.cpp, TGI
//! and hosted ones, through chat or plain completions.
//!
//! [`RemoteEngine`] keeps up to `max_concurrency` calls under way, each in a thread of its own with a
//! blocking client: a call waits seconds for a server, so a few hundred threads cost less than a second
//! client and an async runtime beside the one that fetches models. A result is handed over as soon as
//! its request is finished, and every reply can be kept in a file before anything is made of it, so that
//! a call that was answered is never sent again. Limits, servers, pauses and tries again bear on when an answer comes, never
//! on what is asked.
//!
//! [`RewardServer`] is a [`Scorer`](critic_engine::Scorer) on the reward models of others, over the same
//! calls: OpenRLHF's, vLLM's, SGLang's, and any server of [`RewardApi::Rewards`].

mod choices;
mod client;
mod dispatch;
mod endpoints;
mod engine;
mod error;
mod examine;
mod failure;
mod journal;
mod key;
mod limits;
mod retry_after;
mod reward_api;
mod reward_server;
mod settings;
mod trust;
mod usage;
mod wire;

pub use engine::{RemoteEngine, Render};
pub use error::RemoteError;
pub use examine::{Finding, examine};
pub use reward_api::RewardApi;
pub use reward_server::{RewardServer, RewardSettings, RewardTemplate};
pub use settings::{Api, RemoteSettings};
pub use usage::Usage;
