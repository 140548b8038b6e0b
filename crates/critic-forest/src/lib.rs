//! The prefix forest: token sequences that share what they have in common.
//!
//! A prompt has two responses, a response has N critiques: the data is a tree. [`Forest`] holds token
//! sequences as paths from a root, each distinct prefix once, and gives every token a **row**, the
//! place where the tensors of a batch or the keys and values of a cache keep what belongs to it.
//! The same structure serves the three uses: a training batch is a forest whose rows are
//! `0..n_rows` ([`TrainingForest`] adds targets and reward positions), and a generator grows leaves token by token
//! and releases them, so that rows return to the pool.
//! This crate is pure data: it knows no text, no tensor and no model.

mod error;
mod forest;
mod pack;
mod rows;
mod training;

pub use error::ForestError;
pub use forest::{Forest, Inserted, NodeId};
pub use pack::pack;
pub use rows::RowPool;
pub use training::{PairSequences, Segment, Target, TrainingForest};
