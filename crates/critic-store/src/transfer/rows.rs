//! The rows of each table: what a file holds, and how it enters and leaves the database.

mod judgements;
mod plain;
mod predictions;
mod response_verdicts;
mod texts;

pub(super) use judgements::{StoredMetaComparison, StoredMetaScore, StoredVerdict};
pub(super) use plain::{SplitPair, StageMark};
pub(super) use predictions::StoredPrediction;
pub(super) use response_verdicts::StoredResponseVerdict;
pub(super) use texts::{StoredCandidate, StoredCritique};

use super::columns::TableColumn;
use crate::open::Abort;
use rusqlite::{Connection, Result, Row, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A row of a table, typed.
pub(super) trait StoredRow: Serialize + DeserializeOwned + PartialEq {
    /// The table's name in the database.
    const TABLE: &'static str;
    /// Its columns in a file, in the order of the fields.
    const COLUMNS: &'static [TableColumn];
    /// The columns of the primary key.
    const KEY: &'static [&'static str];
    /// The order in which rows leave.
    const ORDER: &'static str;

    /// From a row of the database.
    fn read(connection: &Connection, row: &Row<'_>) -> Result<Self>;

    /// Adds it where its key is free; gives whether it was.
    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort>;

    /// The values of [`KEY`](Self::KEY).
    fn key(&self) -> Vec<String>;
}
