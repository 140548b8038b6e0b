use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// Why the store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file was written by a newer build.
    #[error(
        "{}: format version {found} is newer than {newest}, the newest this build reads: upgrade critic-rm",
        path.display()
    )]
    NewerVersion {
        /// The store.
        path: PathBuf,
        /// The file's version.
        found: i64,
        /// The newest this build knows.
        newest: i64,
    },
    /// The file was written by an older build and is opened for reading alone.
    #[error(
        "{}: format version {found} is older than {newest}, which this build reads: any command that works on the run, such as `critic-rm run FOLDER`, brings it up to date",
        path.display()
    )]
    OlderVersion {
        /// The store.
        path: PathBuf,
        /// The file's version.
        found: i64,
        /// The newest this build knows.
        newest: i64,
    },
    /// A row that is to be imported is none of the table's.
    #[error("row {row} is no row of the table `{table}`: {detail}; its columns are {columns}")]
    BadRow {
        /// The table.
        table: &'static str,
        /// Which row of those that came, from 1.
        row: usize,
        /// What is wrong with it.
        detail: String,
        /// The columns that the table has.
        columns: String,
    },
    /// Another kind of file.
    #[error("{} is not a SQLite database; name the store of a run, or another path for a new one", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A SQLite database of something else.
    #[error("{} is a SQLite database, but not a store of critic-rm; name another path", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The file is broken.
    #[error("{} is damaged ({detail}); bring back a copy, or move it away to begin the run anew", path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Another process holds the write lock for longer than we wait.
    #[error("{} is locked by another process; wait for it or stop it, then resume", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// The file or its folder cannot be opened or written.
    #[error("{} cannot be opened or written ({detail}); check that its folder exists and may be written", path.display())]
    NotWritable {
        /// The store.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// No space is left.
    #[error("the disk of {} is full; free some space and resume: what was stored before is kept", path.display())]
    DiskFull {
        /// The store.
        path: PathBuf,
    },
    /// A pair's id is taken by another pair of the split.
    #[error(
        "{}: pair `{pair_id}` of split `{split}` is stored with other content; the data changed since the run began: start a new run folder",
        path.display()
    )]
    OtherPair {
        /// The store.
        path: PathBuf,
        /// The split.
        split: String,
        /// The id.
        pair_id: String,
    },
    /// A number that cannot be stored.
    #[error(
        "{what} of {item} is {value}; numbers in the store are finite: leave the item out and count it"
    )]
    NotFinite {
        /// Which number.
        what: &'static str,
        /// Whose.
        item: String,
        /// What it is.
        value: f64,
    },
    /// Any other failure of the database.
    #[error("{}: {source}", path.display())]
    Database {
        /// The store.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// The error a user can act on, from what SQLite said about the file at `path`.
    pub(crate) fn from_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let detail = source.to_string();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, detail },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(
                ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure,
            ) => Self::NotWritable { path, detail },
            _ => match source {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..) => Self::Damaged { path, detail },
                source => Self::Database { path, source },
            },
        }
    }
}
