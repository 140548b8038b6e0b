use crate::StoreError;
use crate::migrate::{APPLICATION_ID, FORMAT_VERSION, migrate};
use rusqlite::{Connection, OpenFlags, Params, Row, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for another process's transaction; ours take milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The database of a run.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the store at `path` for reading and writing; makes one where there is none, and brings one of
    /// an older version up to [`FORMAT_VERSION`] in one transaction.
    ///
    /// Write-ahead log, so that readers never wait for the writer; every transaction is synced before it
    /// returns (`synchronous = FULL`): a sync is cheap beside a model call, and a power cut loses nothing
    /// that was reported stored.
    ///
    /// # Errors
    /// [`StoreError`] when the folder is missing or not writable, or when the file is of a newer version,
    /// locked, damaged or something else than a store; such a file is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let store =
            Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let version = store.check()?;
        let set_up = || -> rusqlite::Result<()> {
            let connection = &store.connection;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", false)?;
            if version < FORMAT_VERSION {
                migrate(connection)?;
            }
            connection.pragma_update(None, "foreign_keys", true)
        };
        store.named(set_up())?;
        Ok(store)
    }

    /// Opens the store at `path` for reading; a writer may be at work meanwhile.
    ///
    /// The folder must be writable, or the file unused since its last writer closed it: SQLite keeps its
    /// read marks beside the file.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is no store at `path`; [`StoreError::OlderVersion`] where
    /// [`Store::open`] would bring the file up to date.
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let store = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let path = path.to_owned();
        match store.check()? {
            0 => Err(StoreError::NotAStore { path }),
            found if found < FORMAT_VERSION => {
                Err(StoreError::OlderVersion { path, found, newest: FORMAT_VERSION })
            }
            _ => Ok(store),
        }
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .and_then(|connection| {
                connection.busy_timeout(PATIENCE)?;
                Ok(connection)
            })
            .map_err(|source| StoreError::from_sqlite(path, source))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Refuses what is no store that this build reads; gives its version, 0 for an empty database.
    fn check(&self) -> Result<i64, StoreError> {
        let (n_tables, application, version) = self.named(self.connection.query_row(
            "SELECT (SELECT count(*) FROM sqlite_schema), application_id, user_version
             FROM pragma_application_id, pragma_user_version",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
        ))?;
        let path = || self.path.clone();
        match (n_tables, application) {
            (0, 0) => Ok(0),
            (_, APPLICATION_ID) if version > FORMAT_VERSION => Err(StoreError::NewerVersion {
                path: path(),
                found: version,
                newest: FORMAT_VERSION,
            }),
            (_, APPLICATION_ID) if version > 0 => Ok(version),
            _ => Err(StoreError::NotAStore { path: path() }),
        }
    }

    /// Where the store stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A result of SQLite as one of ours, with the store's path.
    pub(crate) fn named<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|source| StoreError::from_sqlite(&self.path, source))
    }

    /// The rows of a query, read one by one with `read`.
    pub(crate) fn list<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let read_all =
            || self.connection.prepare_cached(sql)?.query_map(parameters, read)?.collect();
        self.named(read_all())
    }

    /// Runs `work` as one transaction: all of it is on disk when this returns, or nothing is.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Abort>,
    ) -> Result<T, StoreError> {
        let run = || {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|abort| match abort {
            Abort::Sqlite(source) => StoreError::from_sqlite(&self.path, source),
            Abort::Refused(error) => error,
        })
    }
}

/// Why a transaction is rolled back.
pub(crate) enum Abort {
    Sqlite(rusqlite::Error),
    Refused(StoreError),
}

impl From<rusqlite::Error> for Abort {
    fn from(source: rusqlite::Error) -> Self {
        Abort::Sqlite(source)
    }
}

impl From<StoreError> for Abort {
    fn from(error: StoreError) -> Self {
        Abort::Refused(error)
    }
}
