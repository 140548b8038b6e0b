//! The nouns of preference learning as plain data.
//!
//! A [`PreferencePair`] has a prompt and two responses; a [`Candidate`] critique is written about one
//! response; a [`Reward`] is read after it; a [`RewardPrediction`] averages the rewards of several.
//! Beside them stand the three things that every stage needs: content addresses ([`ContentId`]),
//! named randomness ([`SeedTree`]) and files that appear whole ([`atomic_file`]); a [`Column`] says what
//! stands in a table that goes to a file.
//! This crate knows no tokens, no tensors and no model.

pub mod atomic_file;
mod column;
mod content_id;
mod conversation;
mod critique;
mod drop_report;
mod pair;
mod reward;
mod seed;

pub use column::{Column, ColumnKind};
pub use content_id::{ContentHasher, ContentId};
pub use conversation::{Conversation, Message, Role};
pub use critique::{
    Candidate, CritiqueScores, FinishReason, OracleCritique, Provenance, ScoreKind,
};
pub use drop_report::DropReport;
pub use pair::{PreferencePair, Side};
pub use reward::{CritiqueReward, NonFiniteReward, Reward, RewardPrediction};
pub use seed::SeedTree;
