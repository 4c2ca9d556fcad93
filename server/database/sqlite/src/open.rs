//! Opening the file, and bringing its schema up to date.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{SqliteDatabase, list::BATCH, revision::SharedMemory};

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
        Self::open_with(SqliteConnectOptions::new().filename(path), true).await
    }

    /// Opens the index at an address: `sqlite:///path/to/file`, with `?mode=rw` if it must exist.
    ///
    /// # Errors
    /// If the address is malformed, and as [`SqliteDatabase::open`].
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let malformed = |source| OpenError::Url { url: url.to_owned(), source };
        // Without the scheme sqlx would take anything for the name of a file, another database's address even.
        if url.strip_prefix("sqlite:").is_none_or(str::is_empty) {
            return Err(malformed(sqlx::Error::Configuration("it does not start with sqlite:".into())));
        }
        let options: SqliteConnectOptions = url.parse().map_err(malformed)?;
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(OpenError::InMemory);
        }
        let create = !url.contains("mode=") || url.contains("mode=rwc");
        Self::open_with(options, create).await
    }

    async fn open_with(options: SqliteConnectOptions, create: bool) -> Result<Self, OpenError> {
        let path = options.get_filename().to_owned();
        if create {
            keep_private(&path);
        }
        let options = options
            .create_if_missing(create)
            .busy_timeout(BUSY_TIMEOUT)
            .thread_name(|id| format!("sqlite-{id}"))
            // A batch of rows comes over from the connection's thread without the two taking turns.
            .row_buffer_size(BATCH)
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
        let shared_memory = Arc::new(SharedMemory::of(&path));
        Ok(Self { path, writer, readers, shared_memory })
    }
}

/// Makes the file, if it does not exist and may be made, so that only its owner may read the keys in it.
///
/// SQLite gives its logs the same mode. Whatever is wrong here shows again, and is told, when the file is opened.
fn keep_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn pragma(pool: &SqlitePool, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
    }

    #[tokio::test]
    async fn connections_are_durable_bounded_and_of_two_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteDatabase::open(folder.path().join("index.db")).await.unwrap();
        assert_eq!(pragma(&database.writer, "PRAGMA synchronous").await, 2, "2 is FULL");
        assert_eq!(database.writer.options().get_max_connections(), 1);
        assert_eq!(pragma(&database.readers, "PRAGMA query_only").await, 1);
        for pool in [&database.writer, &database.readers] {
            assert_eq!(pragma(pool, "PRAGMA foreign_keys").await, 1);
            assert!((-8192..0).contains(&pragma(pool, "PRAGMA cache_size").await));
            assert_eq!(pragma(pool, "PRAGMA busy_timeout").await, 10_000);
        }
        assert!(sqlx::query("DELETE FROM cache").execute(&database.readers).await.is_err());
    }
}
