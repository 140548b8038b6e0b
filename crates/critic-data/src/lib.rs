//! Preference data: readers of the field's formats, a writer, and the tools around them.
//!
//! [`read_pairs`] turns a source (a file, a folder, a glob, standard input or a hub data set; JSONL, JSON,
//! CSV or Parquet; plain, gzip or zstd) in any [`PairFormat`] into [`critic_types::PreferencePair`]s;
//! [`PairReader`] is the same as a stream; [`read_responses`] reads what is to be scored.
//! [`PairWriter`] writes; [`TableWriter`] and [`TableReader`] do so for rows that are no pairs; [`inspect`] says what a source holds; [`split`], [`mix`] and [`overlap`] make
//! sets of sets; [`synth`] makes pairs from gold answers.
//! Rows that cannot be used never stop a read: they are counted by [`RowProblem`] with the places of the
//! first few. What does stop one is a [`DataError`].
//! This crate knows no tokens and no model.

mod container;
mod dialogue;
mod error;
mod fields;
mod format;
mod ids;
mod inspect;
mod mix;
mod normalise;
mod overlap;
mod problem;
mod prompts;
mod ranked;
mod reader;
mod responses;
mod source;
mod split;
pub mod synth;
mod table;
mod write;

pub use container::{Container, UnknownContainer};
pub use error::DataError;
pub use format::{PairFormat, UnknownFormat, nearest};
pub use inspect::{Inspection, Lengths, inspect, inspect_stream};
pub use mix::{MixReport, MixSource, mix};
pub use normalise::{normalised_prompt, prompt_digest};
pub use overlap::{BenchOverlap, OverlapIndex, OverlapKind, OverlapReport, overlap};
pub use problem::{Place, RowProblem};
pub use ranked::AnnotatedPair;
pub use reader::{
    FileSummary, PairReader, PairSet, Pairing, ReadOptions, read_pairs, read_pairs_from,
};
pub use responses::{ResponseRow, ResponseSet, read_responses, read_responses_from};
pub use source::{HubDataSet, files};
pub use split::{Part, SplitReport, split};
pub use table::TableReader;
pub use write::{PairWriter, TableWriter, write_pairs};
