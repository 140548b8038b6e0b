//! Between the nouns and the columns.

use crate::StoreError;
use critic_types::{FinishReason, Provenance, Reward, Side};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Result, Row};

/// The order of every list: by pair as it came in, unknown pairs last by id; the chosen side first.
pub(crate) const IN_ORDER: &str = "
    LEFT JOIN (SELECT pair_id, min(seq) AS seq FROM pairs GROUP BY pair_id) USING (pair_id)
    WHERE key = ?1 ORDER BY seq NULLS LAST, pair_id, side, idx";

/// A count or an index as SQLite holds it.
pub(crate) fn integer(n: usize) -> i64 {
    i64::try_from(n).expect("a count of things in memory is below 2^63")
}

/// A count or an index from a column.
pub(crate) fn count(row: &Row<'_>, column: &str) -> Result<usize> {
    let value: i64 = row.get(column)?;
    usize::try_from(value).map_err(|_| bad(row, column, &value.to_string()))
}

/// The side named in `side`.
pub(crate) fn side(row: &Row<'_>) -> Result<Side> {
    named(row, "side", &Side::BOTH, Side::as_str)
}

/// The reason named in `finish_reason`.
pub(crate) fn finish_reason(row: &Row<'_>) -> Result<FinishReason> {
    const ALL: [FinishReason; 3] =
        [FinishReason::Stop, FinishReason::Length, FinishReason::Deadline];
    named(row, "finish_reason", &ALL, FinishReason::as_str)
}

/// The source named in `provenance`.
pub(crate) fn provenance(row: &Row<'_>) -> Result<Provenance> {
    named(row, "provenance", &Provenance::ALL, Provenance::as_str)
}

/// A reward from a column.
pub(crate) fn reward(row: &Row<'_>, column: &str) -> Result<Reward> {
    let value: f64 = row.get(column)?;
    Reward::new(value, column).map_err(|error| bad(row, column, &error.to_string()))
}

fn named<T: Copy>(
    row: &Row<'_>,
    column: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T> {
    let value: String = row.get(column)?;
    let found = all.iter().copied().find(|each| name(*each) == value);
    found.ok_or_else(|| bad(row, column, &value))
}

/// A value that no build has written.
pub(crate) fn bad(row: &Row<'_>, column: &str, value: &str) -> rusqlite::Error {
    let place = row.as_ref().column_index(column).unwrap_or_default();
    let error = FromSqlError::Other(format!("column `{column}` holds `{value}`").into());
    rusqlite::Error::FromSqlConversionFailure(place, Type::Text, Box::new(error))
}

/// Refuses NaN, which SQLite would turn into an absent value, and infinities.
pub(crate) fn finite(
    what: &'static str,
    item: impl Fn() -> String,
    value: Option<f64>,
) -> std::result::Result<(), StoreError> {
    match value {
        Some(value) if !value.is_finite() => {
            Err(StoreError::NotFinite { what, item: item(), value })
        }
        _ => Ok(()),
    }
}
