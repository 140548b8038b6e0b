use super::encoder::Encoder;
use super::parquet_body::ParquetBody;
use crate::{Container, DataError};
use critic_types::Column;
use critic_types::atomic_file::WriteError;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes rows of known columns one by one; the file appears whole when it is finished.
///
/// The name says how: `.jsonl` or `.parquet`, and `.gz` or `.zst` behind it; `-` is JSONL on standard
/// output. [`TableReader`](crate::TableReader) gives the same rows back.
pub struct TableWriter {
    path: PathBuf,
    body: Body,
    n_written: usize,
}

enum Body {
    Lines(Box<Encoder>),
    Parquet(Box<ParquetBody>),
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TableWriter {
    /// Begins a file of the table `name`.
    ///
    /// # Errors
    /// [`DataError::TableEnding`] for another kind of file, [`DataError::Write`] when the folder cannot be
    /// written.
    pub fn create(path: &Path, name: &str, columns: &[Column]) -> Result<Self, DataError> {
        let container = Container::of_name(path);
        let is_lines = path == Path::new("-") || container == Some(Container::Json);
        if !is_lines && container != Some(Container::Parquet) {
            return Err(DataError::TableEnding { path: path.to_owned() });
        }
        let encoder = Encoder::create(path)?;
        let fault = |source| WriteError { path: path.to_owned(), source };
        let body = match is_lines {
            true => Body::Lines(Box::new(encoder)),
            false => {
                Body::Parquet(Box::new(ParquetBody::new(encoder, name, columns).map_err(fault)?))
            }
        };
        Ok(Self { path: path.to_owned(), body, n_written: 0 })
    }

    /// Adds a row; what stands under other names than the columns' goes to no Parquet file.
    ///
    /// # Errors
    /// [`DataError::Write`] when the disk is full.
    pub fn write(&mut self, row: Map<String, Value>) -> Result<(), DataError> {
        self.n_written += 1;
        let written = match &mut self.body {
            Body::Lines(out) => line(&row).and_then(|line| out.write_all(&line)),
            Body::Parquet(parquet) => parquet.write(Value::Object(row)),
        };
        Ok(written.map_err(|source| WriteError { path: self.path.clone(), source })?)
    }

    /// Lets the file appear and gives the number of rows in it.
    ///
    /// # Errors
    /// [`DataError::Write`]; an old file of that name then still stands.
    pub fn finish(self) -> Result<usize, DataError> {
        let Self { path, body, n_written } = self;
        let encoder = match body {
            Body::Lines(out) => *out,
            Body::Parquet(parquet) => {
                parquet.finish().map_err(|source| WriteError { path, source })?
            }
        };
        encoder.finish()?;
        Ok(n_written)
    }
}

fn line(row: &Map<String, Value>) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    Ok(line)
}
