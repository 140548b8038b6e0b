//! Decoders and heads on candle.
//!
//! [`Decoder`] maps a flat list of tokens to hidden states; an [`Attention`] says which tokens see each
//! other, and [`RewardHead`] reads rewards. [`ops`] are the differentiable operations underneath,
//! [`sources`] where weights come from and go to.

mod attention;
pub mod config;
mod decoder;
mod error;
pub mod ops;
mod reward_head;
pub mod sources;

pub use attention::{Attention, ForestAttention};
pub use decoder::{Decoder, weight_shapes};
pub use error::ModelError;
pub use ops::with_values;
pub use reward_head::{REWARD_HEAD, RewardHead};
