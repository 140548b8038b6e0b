//! Pairs to files, in the formats that trainers read.

mod encoder;
mod parquet_body;
mod shapes;
mod table;

use crate::ranked::AnnotatedPair;
use crate::{Container, DataError, PairFormat};
use critic_types::PreferencePair;
use critic_types::atomic_file::WriteError;
use encoder::Encoder;
use parquet_body::ParquetBody;
use rayon::prelude::*;
use serde_json::Value;
use shapes::Shape;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use table::TableWriter;

/// Writes pairs one by one; the file appears whole when it is finished.
///
/// The name says how: `.jsonl`, `.json` (an array), `.csv`, `.tsv` or `.parquet`, and `.gz` or `.zst`
/// behind it; any other name, and `-` for standard output, means JSONL.
pub struct PairWriter {
    path: PathBuf,
    shape: &'static Shape,
    body: Body,
    waiting: Vec<AnnotatedPair>,
    n_written: usize,
}

impl std::fmt::Debug for PairWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Pairs that are rendered at a time.
const BATCH: usize = 1024;

enum Body {
    Lines(Encoder),
    Array(Encoder),
    Table(Box<csv::Writer<Encoder>>),
    Parquet(Box<ParquetBody>),
}

impl PairWriter {
    /// Begins a file in our own format or another that can be written.
    ///
    /// # Errors
    /// [`DataError::NotWritable`], or [`DataError::Write`] when the folder cannot be written.
    pub fn create(path: &Path, format: PairFormat) -> Result<Self, DataError> {
        let shape = shapes::of(format).ok_or(DataError::NotWritable { format })?;
        let encoder = Encoder::create(path)?;
        let is_array = path.to_string_lossy().to_lowercase().contains(".json")
            && !path.to_string_lossy().to_lowercase().contains(".jsonl");
        let fault = |source| WriteError { path: path.to_owned(), source };
        let table = |delimiter, encoder| -> Result<Body, WriteError> {
            let mut table = csv::WriterBuilder::new().delimiter(delimiter).from_writer(encoder);
            table
                .write_record(shape.columns.iter().map(|column| column.name))
                .map_err(|error| fault(io::Error::other(error)))?;
            Ok(Body::Table(Box::new(table)))
        };
        let body = match Container::of_name(path) {
            Some(Container::Csv) => table(b',', encoder)?,
            Some(Container::Tsv) => table(b'\t', encoder)?,
            Some(Container::Parquet) => Body::Parquet(Box::new(
                ParquetBody::new(encoder, "pairs", shape.columns).map_err(fault)?,
            )),
            Some(Container::Json) if is_array => Body::Array(encoder),
            _ => Body::Lines(encoder),
        };
        Ok(Self { path: path.to_owned(), shape, body, waiting: Vec::new(), n_written: 0 })
    }

    /// The names of the formats that can be written.
    pub fn formats() -> String {
        shapes::SHAPES.map(|shape| shape.format.as_str()).join(", ")
    }

    /// Adds a pair.
    ///
    /// # Errors
    /// [`DataError::Write`] when the disk is full.
    pub fn write(&mut self, pair: AnnotatedPair) -> Result<(), DataError> {
        self.waiting.push(pair);
        if self.waiting.len() < BATCH { Ok(()) } else { self.write_waiting() }
    }

    /// Renders what waits side by side, and writes it in order.
    fn write_waiting(&mut self) -> Result<(), DataError> {
        let waiting = std::mem::take(&mut self.waiting);
        let is_first = self.n_written == 0;
        self.n_written += waiting.len();
        let shape = self.shape;
        let json = || {
            let render = |pair: &AnnotatedPair| {
                let mut text = Vec::new();
                (shape.json)(pair, &mut text).map(|()| text)
            };
            waiting.par_iter().map(render).collect::<io::Result<Vec<Vec<u8>>>>()
        };
        let mut attempt = || -> io::Result<()> {
            match &mut self.body {
                Body::Lines(out) => {
                    for mut line in json()? {
                        line.push(b'\n');
                        out.write_all(&line)?;
                    }
                }
                Body::Array(out) => {
                    for (at, item) in json()?.into_iter().enumerate() {
                        out.write_all(if is_first && at == 0 { b"[\n" } else { b",\n" })?;
                        out.write_all(&item)?;
                    }
                }
                Body::Table(table) => {
                    for pair in &waiting {
                        let row = (shape.row)(pair);
                        let cells = shape.columns.iter().map(|column| cell(row.get(column.name)));
                        table.write_record(cells).map_err(io::Error::other)?;
                    }
                }
                Body::Parquet(parquet) => {
                    for pair in &waiting {
                        parquet.write((shape.row)(pair))?;
                    }
                }
            }
            Ok(())
        };
        Ok(attempt().map_err(|source| WriteError { path: self.path.clone(), source })?)
    }

    /// Lets the file appear and gives the number of pairs in it.
    ///
    /// # Errors
    /// [`DataError::Write`]; an old file of that name then still stands.
    pub fn finish(mut self) -> Result<usize, DataError> {
        self.write_waiting()?;
        let Self { path, body, n_written, .. } = self;
        let end = || -> io::Result<Encoder> {
            Ok(match body {
                Body::Lines(out) => out,
                Body::Array(mut out) => {
                    out.write_all(if n_written == 0 { b"[]\n" } else { b"\n]\n" })?;
                    out
                }
                Body::Table(table) => {
                    table.into_inner().map_err(|error| io::Error::other(error.to_string()))?
                }
                Body::Parquet(parquet) => parquet.finish()?,
            })
        };
        end().map_err(|source| WriteError { path, source })?.finish()?;
        Ok(n_written)
    }
}

/// A value as a table's cell: a text as it is, null as nothing, anything else as JSON.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Writes pairs in the own format, as the file's name says.
///
/// In JSON a prompt of one user turn is written as text, any other as a list of messages;
/// [`crate::read_pairs`] gives the same pairs back.
///
/// # Errors
/// [`DataError::Write`] when the folder cannot be written; the old file then still stands.
pub fn write_pairs(path: &Path, pairs: &[PreferencePair]) -> Result<(), DataError> {
    let mut out = PairWriter::create(path, PairFormat::Own)?;
    for pair in pairs {
        out.write(AnnotatedPair { pair: pair.clone(), critiques: Vec::new() })?;
    }
    out.finish().map(drop)
}

#[cfg(test)]
mod tests;
