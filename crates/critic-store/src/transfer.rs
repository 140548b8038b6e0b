//! Rows that leave a store and enter another one.

mod columns;
mod rows;

use crate::open::Abort;
use crate::{Store, StoreError};
use columns::TableColumn;
use critic_types::Column;
use rows::StoredRow;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// A row as a file holds it: column → value.
pub type TableRow = Map<String, Value>;

/// A table of a store as it leaves and enters one. Every row carries the address under which it is stored,
/// so another run with the same model, prompts, settings and pairs finds it and does not compute it again.
///
/// [`meanings`](Self::meanings) says what each column holds; null stands for what is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Preference pairs by split: `split`, `id`, `prompt` (list of `role` and `content`), `chosen`, `rejected`,
    /// `margin`, `domain`, `subset`.
    Pairs,
    /// Candidate critiques, as the critic wrote them: `key`, `pair_id`, `pair_content`, `side`, `index`, `text`,
    /// `parsed_score`, `expected_score`, `verdict`, `finish_reason`, `n_tokens`, `provenance`.
    Candidates,
    /// The critiques that training sees; columns as of candidates.
    Critiques,
    /// What the critic thinks of responses before it has written a critique: `key`, `pair_id`, `pair_content`,
    /// `side`, `verdict`.
    ResponseVerdicts,
    /// What the filter decided about candidates: `key`, `pair_id`, `side`, `index`, `kept`, `reason`.
    Verdicts,
    /// What the meta-judge gave candidates: `key`, `pair_id`, `side`, `index`, `score`.
    MetaScores,
    /// What a pairwise meta-judge answered about two candidates, in each of their orders: `key`, `pair_id`,
    /// `side`, `first`, `second`, `log_odds`.
    MetaComparisons,
    /// Rewards of responses: `key`, `pair_id`, `pair_content`, `side`, `mean`, `std`, `without_critique`,
    /// `n_failed`, and `critiques`, a list of `text`, `reward`, `finish_reason` and `n_tokens`.
    Predictions,
    /// The marks of finished stages: `stage`, `inputs`, `summary`.
    Stages,
}

impl Table {
    /// Every table, in an order in which they can be imported.
    pub const ALL: [Self; 9] = [
        Self::Pairs,
        Self::Candidates,
        Self::Critiques,
        Self::ResponseVerdicts,
        Self::Verdicts,
        Self::MetaScores,
        Self::MetaComparisons,
        Self::Predictions,
        Self::Stages,
    ];

    /// The name on the command line: `pairs`, `candidates`, `critiques`, `response-verdicts`, `verdicts`,
    /// `meta-scores`, `meta-comparisons`, `predictions` or `stages`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Candidates => "candidates",
            Self::Critiques => "critiques",
            Self::ResponseVerdicts => "response-verdicts",
            Self::Verdicts => "verdicts",
            Self::MetaScores => "meta-scores",
            Self::MetaComparisons => "meta-comparisons",
            Self::Predictions => "predictions",
            Self::Stages => "stages",
        }
    }

    /// The columns of its rows, in order, for the writer of a file.
    pub fn columns(self) -> Vec<Column> {
        self.described().iter().map(|described| described.column).collect()
    }

    /// What each of [`columns`](Self::columns) means.
    pub fn meanings(self) -> Vec<(&'static str, &'static str)> {
        self.described()
            .iter()
            .map(|described| (described.column.name, described.meaning))
            .collect()
    }

    fn described(self) -> &'static [TableColumn] {
        match self {
            Self::Pairs => rows::SplitPair::COLUMNS,
            Self::Candidates => rows::StoredCandidate::COLUMNS,
            Self::Critiques => rows::StoredCritique::COLUMNS,
            Self::ResponseVerdicts => rows::StoredResponseVerdict::COLUMNS,
            Self::Verdicts => rows::StoredVerdict::COLUMNS,
            Self::MetaScores => rows::StoredMetaScore::COLUMNS,
            Self::MetaComparisons => rows::StoredMetaComparison::COLUMNS,
            Self::Predictions => rows::StoredPrediction::COLUMNS,
            Self::Stages => rows::StageMark::COLUMNS,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is no table of a store; use pairs, candidates, critiques, response-verdicts, verdicts, meta-scores, meta-comparisons, predictions or stages"
)]
pub struct UnknownTable {
    /// What was asked for.
    pub name: String,
}

impl FromStr for Table {
    type Err = UnknownTable;

    fn from_str(name: &str) -> Result<Self, UnknownTable> {
        let known = Self::ALL.into_iter().find(|table| table.as_str() == name);
        known.ok_or_else(|| UnknownTable { name: name.to_owned() })
    }
}

/// What became of rows that were imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Rows that were not there.
    pub n_new: usize,
    /// Rows that were there already, the same.
    pub n_known: usize,
    /// Rows under a key that is taken by another row; the stored row stays.
    pub n_other: usize,
    /// The first few of those.
    pub other: Vec<String>,
}

/// How many of [`Imported::other`] are named.
const N_NAMED: usize = 3;

impl Store {
    /// Hands every row of a table to `sink`, ordered by key (pairs as they came in), as of one moment: a
    /// run that writes meanwhile changes nothing. Gives how many there were.
    ///
    /// Failures are in no table: they are work that is to be tried again.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read, and what `sink` returns.
    pub fn export<E: From<StoreError>>(
        &self,
        table: Table,
        sink: &mut dyn FnMut(TableRow) -> Result<(), E>,
    ) -> Result<usize, E> {
        match table {
            Table::Pairs => self.export_rows::<rows::SplitPair, E>(sink),
            Table::Candidates => self.export_rows::<rows::StoredCandidate, E>(sink),
            Table::Critiques => self.export_rows::<rows::StoredCritique, E>(sink),
            Table::ResponseVerdicts => self.export_rows::<rows::StoredResponseVerdict, E>(sink),
            Table::Verdicts => self.export_rows::<rows::StoredVerdict, E>(sink),
            Table::MetaScores => self.export_rows::<rows::StoredMetaScore, E>(sink),
            Table::MetaComparisons => self.export_rows::<rows::StoredMetaComparison, E>(sink),
            Table::Predictions => self.export_rows::<rows::StoredPrediction, E>(sink),
            Table::Stages => self.export_rows::<rows::StageMark, E>(sink),
        }
    }

    /// Adds rows as [`Store::export`] gives them, in one transaction: all of them or, after an error, none.
    /// A key that is taken keeps its row.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] for a row that is none of the table's, [`StoreError::NotFinite`], the
    /// database's, and those of `rows`.
    pub fn import<E: From<StoreError>>(
        &mut self,
        table: Table,
        rows: &mut dyn Iterator<Item = Result<TableRow, E>>,
    ) -> Result<Imported, E> {
        match table {
            Table::Pairs => self.import_rows::<rows::SplitPair, E>(table, rows),
            Table::Candidates => self.import_rows::<rows::StoredCandidate, E>(table, rows),
            Table::Critiques => self.import_rows::<rows::StoredCritique, E>(table, rows),
            Table::ResponseVerdicts => {
                self.import_rows::<rows::StoredResponseVerdict, E>(table, rows)
            }
            Table::Verdicts => self.import_rows::<rows::StoredVerdict, E>(table, rows),
            Table::MetaScores => self.import_rows::<rows::StoredMetaScore, E>(table, rows),
            Table::MetaComparisons => {
                self.import_rows::<rows::StoredMetaComparison, E>(table, rows)
            }
            Table::Predictions => self.import_rows::<rows::StoredPrediction, E>(table, rows),
            Table::Stages => self.import_rows::<rows::StageMark, E>(table, rows),
        }
    }

    fn export_rows<R: StoredRow, E: From<StoreError>>(
        &self,
        sink: &mut dyn FnMut(TableRow) -> Result<(), E>,
    ) -> Result<usize, E> {
        let named = |source| E::from(StoreError::from_sqlite(self.path(), source));
        let snapshot = self.connection.unchecked_transaction().map_err(named)?;
        let sql = format!("SELECT * FROM {} ORDER BY {}", R::TABLE, R::ORDER);
        let mut select = snapshot.prepare(&sql).map_err(named)?;
        let mut rows = select.query([]).map_err(named)?;
        let mut n = 0;
        while let Some(row) = rows.next().map_err(named)? {
            let row = R::read(&snapshot, row).map_err(named)?;
            sink(object(&row))?;
            n += 1;
        }
        Ok(n)
    }

    fn import_rows<R: StoredRow, E: From<StoreError>>(
        &mut self,
        table: Table,
        rows: &mut dyn Iterator<Item = Result<TableRow, E>>,
    ) -> Result<Imported, E> {
        let path = self.path().to_owned();
        let named = |abort: Abort| {
            E::from(match abort {
                Abort::Sqlite(source) => StoreError::from_sqlite(&path, source),
                Abort::Refused(error) => error,
            })
        };
        let sqlite = |source| named(Abort::Sqlite(source));
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sqlite)?;
        let mut imported = Imported::default();
        for (place, row) in (1..).zip(rows) {
            let bad = |detail| StoreError::BadRow {
                table: table.as_str(),
                row: place,
                detail,
                columns: column_names(table),
            };
            let row = Value::Object(row?);
            if let Some(number) = too_large(&row) {
                return Err(bad(format!("{number} is above 2^63 − 1")).into());
            }
            let row: R = serde_json::from_value(row).map_err(|error| bad(error.to_string()))?;
            if row.insert(&transaction).map_err(named)? {
                imported.n_new += 1;
            } else if is_stored(&transaction, &row).map_err(sqlite)? {
                imported.n_known += 1;
            } else {
                imported.n_other += 1;
                if imported.other.len() < N_NAMED {
                    imported.other.push(row.key().join(" "));
                }
            }
        }
        transaction.commit().map_err(sqlite)?;
        Ok(imported)
    }
}

/// Whether the row under this row's key is this very row.
fn is_stored<R: StoredRow>(transaction: &Transaction<'_>, row: &R) -> rusqlite::Result<bool> {
    let connection: &Connection = transaction;
    let places: Vec<String> =
        (1..).zip(R::KEY).map(|(place, column)| format!("{column} = ?{place}")).collect();
    let sql = format!("SELECT * FROM {} WHERE {}", R::TABLE, places.join(" AND "));
    let mut select = transaction.prepare_cached(&sql)?;
    let key = rusqlite::params_from_iter(row.key());
    select.query_row(key, |stored| Ok(R::read(connection, stored)? == *row))
}

/// A whole number that the database cannot hold.
fn too_large(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) if !number.is_i64() => number.as_u64(),
        Value::Array(items) => items.iter().find_map(too_large),
        Value::Object(fields) => fields.values().find_map(too_large),
        _ => None,
    }
}

fn object(row: &impl Serialize) -> TableRow {
    match serde_json::to_value(row) {
        Ok(Value::Object(row)) => row,
        _ => unreachable!("a row of named fields with finite numbers is a JSON object"),
    }
}

fn column_names(table: Table) -> String {
    let names: Vec<&str> = table.described().iter().map(|column| column.column.name).collect();
    names.join(", ")
}
