//! The database of a run: one SQLite file that a run can be resumed from.
//!
//! A [`Store`] holds the pairs of a run, the marks of its finished stages, candidate critiques, verdicts on
//! responses without critique, filter verdicts, meta-judge scores and comparisons, the critiques that training
//! sees, predictions and failures. What a stage makes is stored under a [`critic_types::ContentId`] that its
//! caller forms from everything that went into it, so other settings never meet old results.
//!
//! One rule holds everywhere but for failures: **the same key keeps its first row**. Each `put_…` is one
//! transaction, on disk when it returns, and gives the number of rows that were new; after a crash its
//! rows are all there or none is. Every list comes back in an order that depends on what was stored and
//! not on when: by the order of the pairs, the chosen side first, then the index.
//!
//! What is about a response names its pair by id and content, so other data under the same ids never meets
//! old results either, and rows that come from another store are found where they belong.
//! [`Store::export`] and [`Store::import`] carry rows between stores and files ([`Table`]).
//!
//! The tables are in `migrations/`, a step for each version; [`Store::open`] does the steps that a file
//! lacks. They have columns that the `sqlite3` tool shows, JSON only for the turns of a
//! prompt and the summary of a stage. Numbers come back bit for bit.

mod candidates;
mod columns;
mod error;
mod failures;
mod judgements;
mod migrate;
mod open;
mod pairs;
mod predictions;
mod response_verdicts;
mod stages;
mod transfer;

pub use error::StoreError;
pub use judgements::{FilterVerdict, MetaComparison, MetaScore};
pub use migrate::FORMAT_VERSION;
pub use open::Store;
pub use transfer::{Imported, Table, TableRow, UnknownTable};

#[cfg(test)]
mod tests;
