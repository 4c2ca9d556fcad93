//! Opening the file, and bringing its schema up to date.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};

use crate::SqliteDatabase;

static MIGRATIONS: Migrator = sqlx::migrate!("../../../migrations/sqlite");

/// Reads take some microseconds of CPU each; more connections than this only cost memory.
const READERS: u32 = 4;
/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// The page cache of a connection in KiB (negative is how SQLite tells KiB from pages): interior pages of the indices, and
/// for the writer the pages of one large commit. What is beyond is in the system's cache.
const READER_CACHE: &str = "-2048";
const WRITER_CACHE: &str = "-8192";

/// Why an index cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address cannot be read.
    #[error("{url:?} is no address of an SQLite database, as sqlite:///path/to/file is")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        #[source]
        source: sqlx::Error,
    },
    /// The address names no file.
    #[error("an index in memory would forget what the storage holds: name a file")]
    InMemory,
    /// The file cannot be opened, or made, or is no database.
    #[error("cannot open the index {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// A later version of this program has changed the schema.
    #[error("the index {path} was changed by a newer version of this program (migration {version} is not known here)")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The first migration that is not known.
        version: i64,
    },
    /// The schema cannot be brought up to date; it is as it was before.
    #[error("cannot bring the index {path} up to date")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: MigrateError,
    },
}

impl SqliteDatabase {
    /// Opens the index in this file; makes it if there is none.
    ///
    /// # Errors
    /// If the file cannot be opened, or holds the index of a newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(SqliteConnectOptions::new().filename(path).create_if_missing(true)).await
    }

    /// Opens the index at an address: `sqlite:///path/to/file`, with `?mode=rw` if it must exist.
    ///
    /// # Errors
    /// If the address is malformed, and as [`SqliteDatabase::open`].
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let options: SqliteConnectOptions =
            url.parse().map_err(|source| OpenError::Url { url: url.to_owned(), source })?;
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(OpenError::InMemory);
        }
        let options = if url.contains("mode=") { options } else { options.create_if_missing(true) };
        Self::open_with(options).await
    }

    async fn open_with(options: SqliteConnectOptions) -> Result<Self, OpenError> {
        let path = options.get_filename().to_owned();
        let options = options
            .busy_timeout(BUSY_TIMEOUT)
            .thread_name(|id| format!("sqlite-{id}"))
            // Pages mapped into memory would count as this process's, once for each connection, without a bound.
            .pragma("mmap_size", "0");
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL would lose acknowledged commits when the power fails.
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", WRITER_CACHE);
        // Not opened read-only: that could not recover the log if another process crashed with it.
        let reading = options.pragma("query_only", "ON").pragma("cache_size", READER_CACHE);

        let opened = |source| OpenError::Open { path: path.clone(), source };
        let writer = pool(1).connect_with(writing).await.map_err(opened)?;
        migrate(&writer, &path).await?;
        let readers = pool(READERS).connect_with(reading).await.map_err(opened)?;
        Ok(Self { path, writer, readers })
    }
}

/// A pool whose connections stay, with their prepared statements.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // There is no network that could have gone away.
        .test_before_acquire(false)
}

/// Applies what is missing. All in one transaction under the write lock, so that of two processes that start at once one
/// waits and then finds nothing to do.
async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let opened = |source| OpenError::Open { path: path.to_owned(), source };
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(opened)?;
    MIGRATIONS.run_direct(None, &mut *transaction, false).await.map_err(|source| match source {
        MigrateError::VersionMissing(version) => OpenError::Newer { path: path.to_owned(), version },
        source => OpenError::Migrate { path: path.to_owned(), source },
    })?;
    transaction.commit().await.map_err(opened)
}
