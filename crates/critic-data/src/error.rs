use crate::{Place, RowProblem};
use critic_types::DropReport;
use critic_types::atomic_file::WriteError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file of data could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file cannot be opened.
    #[error("could not open {}: {cause}; check its name and that it may be read", name(path))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file cannot be read to its end.
    #[error(
        "could not read {} to its end: {cause}; it may be cut short: fetch it again",
        name(path)
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system or the decompressor said.
        cause: io::Error,
    },
    /// A folder without rows.
    #[error("{} holds no file of rows; name a file, or give files that end in jsonl, json, csv, tsv or parquet (also .gz, .zst)", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A pattern that names nothing.
    #[error("the pattern `{pattern}` cannot be used: {what}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        what: String,
    },
    /// A name that is no hub data set.
    #[error(
        "`hub:{name}` names no data set of the hub; write hub:org/name, hub:org/name:split or hub:org/name:split@revision"
    )]
    HubName {
        /// What stands behind `hub:`.
        name: String,
    },
    /// The hub may not be asked.
    #[error(
        "hub:{name} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it; unset it, or name a file"
    )]
    HubOffline {
        /// The data set.
        name: String,
    },
    /// The hub did not give the data set.
    #[error(
        "could not fetch hub:{name} from {endpoint}: {reason}; check the name and the network, or name a file"
    )]
    Hub {
        /// The data set.
        name: String,
        /// Where it was asked for.
        endpoint: String,
        /// Why it failed.
        reason: String,
    },
    /// The file begins as a JSON array and does not hold together as one.
    #[error(
        "{} begins with `[` but {what}; repair the JSON array or put one object on each line",
        name(path)
    )]
    Array {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        what: String,
    },
    /// A row cannot be used and strict reading was asked for.
    #[error("{}, {}: {problem}; repair the row, or read without strict to leave such rows out", name(path), problem.named(*place))]
    Row {
        /// The file.
        path: PathBuf,
        /// The row.
        place: Place,
        /// Why it cannot be used.
        problem: RowProblem,
    },
    /// No row can be used.
    #[error("{} has no usable row: {}", name(path), reasons(report))]
    NoRows {
        /// The file.
        path: PathBuf,
        /// Why each row was left out.
        report: DropReport,
    },
    /// A limit that leaves nothing.
    #[error("a limit of 0 rows leaves nothing to read; leave the limit out or give 1 or more")]
    ZeroLimit,
    /// Parts that do not make up a whole, or names that do not go together.
    #[error("{what}; {way_out}")]
    Parts {
        /// What is wrong with them.
        what: String,
        /// What to write instead.
        way_out: &'static str,
    },
    /// Two passes over what can be read once.
    #[error("standard input cannot be read twice, as mixing does; write it to a file first")]
    StdinTwice,
    /// The format can be read and not written.
    #[error("{format} can be read but not written; write one of {}", crate::PairWriter::formats())]
    NotWritable {
        /// The format.
        format: crate::PairFormat,
    },
    /// A table goes to files that tell an empty text from none.
    #[error("{} is no name for a table; let it end in .jsonl or .parquet (.gz and .zst may follow)", path.display())]
    TableEnding {
        /// The file.
        path: PathBuf,
    },
    /// A row of a table is no object.
    #[error("{}, {}: {problem}; repair the row or take it out", name(path), problem.named(*place))]
    TableRow {
        /// The file.
        path: PathBuf,
        /// The row.
        place: Place,
        /// Why it cannot be used.
        problem: RowProblem,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The file as a message names it.
fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Each reason with its count and first places.
fn reasons(report: &DropReport) -> String {
    if report.n_seen() == 0 {
        return "it is empty; give one row a pair".to_owned();
    }
    let each: Vec<String> = report
        .dropped
        .iter()
        .map(|(reason, n)| {
            let places = report.examples.get(reason).map_or(String::new(), |list| list.join(", "));
            format!("{n} × {reason} ({places})")
        })
        .collect();
    each.join("; ")
}
