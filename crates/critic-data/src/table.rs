use crate::DataError;
use crate::container::{self, Rows};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The rows of one file as objects, in order: JSONL, a JSON array or Parquet, plain, gzip or zstd; `-` is
/// standard input.
pub struct TableReader {
    path: PathBuf,
    rows: Rows<'static>,
}

impl std::fmt::Debug for TableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableReader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TableReader {
    /// Opens a file.
    ///
    /// # Errors
    /// [`DataError::Open`] and [`DataError::Read`] when it cannot be opened or read.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let inner = container::open(path)?;
        let rows = container::rows(inner, path, None)
            .map_err(|cause| DataError::Read { path: path.to_owned(), cause })?;
        Ok(Self { path: path.to_owned(), rows })
    }
}

impl Iterator for TableReader {
    type Item = Result<Map<String, Value>, DataError>;

    /// The next row; a row that is no object is an error, as is a file that cannot be read to its end.
    fn next(&mut self) -> Option<Self::Item> {
        let next = match self.rows.reader.next_row() {
            Ok(next) => next?,
            Err(error) => return Some(Err(error.of(&self.path))),
        };
        let (place, row) = next;
        let path = || self.path.clone();
        Some(row.parse().map_err(|problem| DataError::TableRow { path: path(), place, problem }))
    }
}
