//! Readers of preference data.
//!
//! [`read_pairs`] turns a file (JSONL or a JSON array, plain or gzip, or standard input) into
//! [`critic_types::PreferencePair`]s; [`read_responses`] reads what is to be scored; [`write_pairs`]
//! writes the own format; [`inspect`] says what a set holds.
//! Rows that cannot be used never stop a read: they are counted by [`RowProblem`] with the places of the
//! first few. What does stop one is a [`DataError`].
//! This crate knows no tokens and no model, and downloads nothing.

mod dialogue;
mod error;
mod fields;
mod format;
mod ids;
mod inspect;
mod pairs;
mod problem;
mod responses;
mod rows;
mod shape;
mod source;
mod write;

pub use error::DataError;
pub use format::{PairFormat, UnknownFormat};
pub use inspect::{Inspection, Lengths, inspect};
pub use pairs::{PairSet, ReadOptions, read_pairs, read_pairs_from};
pub use problem::{Place, RowProblem};
pub use responses::{ResponseRow, ResponseSet, read_responses, read_responses_from};
pub use write::write_pairs;
