use super::{RawRow, RowReader, RowsError};
use crate::Place;
use crate::fields::Object;
use parquet::errors::ParquetError;
use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use serde_json::Value;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The first bytes of a Parquet file.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// The rows of a Parquet file, a page of each column held at a time.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    n_read: usize,
}

impl ParquetRows {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let rows =
            guarded(|| Ok(RowIter::from_file_into(Box::new(SerializedFileReader::new(file)?))))?;
        Ok(Self { rows, n_read: 0 })
    }
}

impl RowReader for ParquetRows {
    fn next_row(&mut self) -> Result<Option<(Place, RawRow)>, RowsError> {
        let rows = &mut self.rows;
        let Some(row) = guarded(|| rows.next().transpose())? else { return Ok(None) };
        self.n_read += 1;
        Ok(Some((Place::Row(self.n_read), RawRow::Table(Ok(object(row))))))
    }
}

/// The library panics on some files that are damaged: that is an error of the file like any other.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> io::Result<T> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(ended) => ended.map_err(|error| invalid(error.to_string())),
        Err(_) => Err(invalid("the Parquet file is damaged".to_owned())),
    }
}

fn object(row: Row) -> Object {
    row.into_columns().into_iter().map(|(name, field)| (name, value(field))).collect()
}

fn value(field: Field) -> Value {
    match field {
        Field::Str(text) => Value::String(text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => Field::Bytes(bytes).to_json_value(),
        },
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::MapInternal(map) => Value::Object(
            map.entries()
                .iter()
                .map(|(key, entry)| {
                    let key = match value(key.clone()) {
                        Value::String(key) => key,
                        other => other.to_string(),
                    };
                    (key, value(entry.clone()))
                })
                .collect(),
        ),
        other => other.to_json_value(),
    }
}
