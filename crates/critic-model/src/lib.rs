//! Decoders and heads, to run and to train; weights in and out.
//!
//! [`Decoder`] maps a flat list of tokens to hidden states; an [`Attention`] says which tokens see each
//! other, and [`RewardHead`] reads rewards. [`backprop`] trains them on the CPU and
//! [`composed`] on other devices; [`sources`] is where weights come from and go to.

mod attention;
pub mod backprop;
pub mod composed;
pub mod config;
mod decoder;
mod error;
mod layout;
mod matrix;
mod reward_head;
mod rope_tables;
pub mod sources;
mod weight;

pub use attention::{Attention, ForestAttention, query_runs};
pub use decoder::Decoder;
pub use error::ModelError;
pub use layout::weight_shapes;
pub use matrix::WeightFormat;
pub use reward_head::{
    HeadActivation, HeadLayout, REWARD_HEAD, RewardHead, is_reward_head, known_reward_heads,
};
pub use weight::Weight;
