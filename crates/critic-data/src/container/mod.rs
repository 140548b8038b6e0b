//! From a file's bytes to its rows: JSONL, JSON, CSV and Parquet, each plain, gzip or zstd.

mod bytes;
mod csv_rows;
mod json;
mod parquet_rows;

use crate::fields::Object;
use crate::{DataError, Place, RowProblem};
use bytes::{Address, Compression, Text};
use csv_rows::CsvRows;
use json::JsonRows;
use parquet_rows::ParquetRows;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

pub(crate) use bytes::open;

/// How rows are laid out in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// One object a line, or one array of objects; told apart by the first character.
    Json,
    /// A header and comma-separated values.
    Csv,
    /// A header and values separated by tabs.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

/// Container, name, and the endings of file names that mean it.
const TABLE: [(Container, &str, &[&str]); 4] = [
    (Container::Json, "json", &["jsonl", "json", "ndjson"]),
    (Container::Csv, "csv", &["csv"]),
    (Container::Tsv, "tsv", &["tsv"]),
    (Container::Parquet, "parquet", &["parquet", "pq"]),
];

/// Endings of compressed files.
const COMPRESSED: [&str; 4] = ["gz", "gzip", "zst", "zstd"];

impl Container {
    /// The container that a file's name speaks of, with or without an ending for compression.
    pub fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let name = COMPRESSED
            .iter()
            .find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'))
            .unwrap_or(&name);
        let (_, ending) = name.rsplit_once('.')?;
        TABLE.iter().find(|(_, _, endings)| endings.contains(&ending)).map(|row| row.0)
    }

    /// The name on the command line, such as `csv`.
    pub fn as_str(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("json", |row| row.1)
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no [`Container`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no container of rows; use json (also for JSONL), csv, tsv or parquet")]
pub struct UnknownContainer {
    /// What was asked for.
    pub name: String,
}

impl FromStr for Container {
    type Err = UnknownContainer;

    fn from_str(name: &str) -> Result<Self, UnknownContainer> {
        let known = TABLE.iter().find(|row| row.1 == name || row.2.contains(&name));
        known.map(|row| row.0).ok_or_else(|| UnknownContainer { name: name.to_owned() })
    }
}

/// A row that is yet to be parsed, or is one by nature.
pub(crate) enum RawRow {
    Json(Vec<u8>),
    Table(Result<Object, RowProblem>),
}

impl RawRow {
    /// The row's fields, or why it has none.
    pub(crate) fn parse(self) -> Result<Object, RowProblem> {
        match self {
            RawRow::Json(bytes) => json::object(&bytes),
            RawRow::Table(row) => row,
        }
    }
}

/// Why there is no next row.
#[derive(Debug)]
pub(crate) enum RowsError {
    Io(io::Error),
    /// A JSON array that does not hold together; the text continues "begins with `[` but".
    Array(String),
}

impl From<io::Error> for RowsError {
    fn from(error: io::Error) -> Self {
        RowsError::Io(error)
    }
}

impl RowsError {
    pub(crate) fn of(self, path: &Path) -> DataError {
        match self {
            RowsError::Io(cause) => DataError::Read { path: path.to_owned(), cause },
            RowsError::Array(what) => DataError::Array { path: path.to_owned(), what },
        }
    }
}

/// The rows of one file, one at a time.
pub(crate) trait RowReader: Send {
    /// The next row; `None` at the end.
    fn next_row(&mut self) -> Result<Option<(Place, RawRow)>, RowsError>;
}

/// The rows of a file, and its address once they are read.
pub(crate) struct Rows<'a> {
    pub(crate) reader: Box<dyn RowReader + 'a>,
    pub(crate) address: Address<'a>,
}

/// Tells compression and container of what `inner` holds; `path` is its name.
///
/// A JSON file is known by nothing: it is what is no other.
pub(crate) fn rows<'a>(
    inner: Box<dyn Read + Send + 'a>,
    path: &Path,
    container: Option<Container>,
) -> io::Result<Rows<'a>> {
    let (mut text, compression, address) = bytes::text(inner)?;
    let is_parquet = text.fill_buf()?.starts_with(parquet_rows::MAGIC);
    let container = match container {
        _ if is_parquet => Container::Parquet,
        Some(container) => container,
        None => Container::of_name(path).unwrap_or(Container::Json),
    };
    let reader: Box<dyn RowReader + 'a> = match container {
        Container::Json => Box::new(JsonRows::new(text)?),
        Container::Csv => Box::new(CsvRows::new(text, b',')),
        Container::Tsv => Box::new(CsvRows::new(text, b'\t')),
        Container::Parquet => Box::new(parquet(text, compression, path)?),
    };
    Ok(Rows { reader, address })
}

/// Parquet is read from its end: what is no plain file is laid down in a temporary one.
fn parquet(mut text: Text<'_>, compression: Compression, path: &Path) -> io::Result<ParquetRows> {
    if compression == Compression::None && path.is_file() {
        return ParquetRows::new(std::fs::File::open(path)?);
    }
    let mut file = tempfile::tempfile()?;
    io::copy(&mut text, &mut file)?;
    ParquetRows::new(file)
}
