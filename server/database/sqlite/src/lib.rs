//! The index on SQLite.
//!
//! One file in WAL mode: one connection writes, a few read beside it, and an answer to a writer means that the write-ahead
//! log is on disk. Every statement is a file of its own under `server/database/sql`, checked when this crate is compiled;
//! after a change run `server/database/sqlite/prepare`.

mod audit;
mod caches;
mod chunks;
mod column;
mod commit;
mod documents;
mod error;
mod inspection;
mod leases;
mod list;
mod open;
mod paths;
mod revision;
mod tokens;

use std::{fmt, path::PathBuf, sync::Arc};

use database::Result;
use sqlx::{Sqlite, SqlitePool, Transaction};

pub use crate::open::OpenError;
use crate::{error::failed, revision::SharedMemory};

/// An open index. Clones share its connections.
#[derive(Clone)]
pub struct SqliteDatabase {
    path: PathBuf,
    /// Exactly one connection: SQLite has one writer, and here writers queue in order instead of polling for a lock.
    writer: SqlitePool,
    readers: SqlitePool,
    shared_memory: Arc<SharedMemory>,
}

impl SqliteDatabase {
    /// Closes all connections and leaves one file, with nothing in a log beside it.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Begins a transaction that may write.
    ///
    /// IMMEDIATE takes the lock at once: a transaction that read first could find at its first write that another process
    /// wrote in between, and would have to start anew.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)
    }
}

impl fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteDatabase({})", self.path.display())
    }
}
