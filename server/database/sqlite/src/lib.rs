//! The index on SQLite.
//!
//! One file in WAL mode: one connection writes, a few read beside it, and an answer to a writer means that the write-ahead
//! log is on disk. Every statement is a file of its own under `server/database/sql`, checked when this crate is compiled;
//! after a change run `server/database/sqlite/prepare`.

mod catalogue;
mod dialect;
mod error;
mod open;
mod revision;
#[path = "../../sql/shared.rs"]
mod shared;

use std::{fmt, path::PathBuf, sync::Arc};

use shared::{column, list};
use sqlx::SqlitePool;

pub use crate::open::OpenError;
use crate::revision::SharedMemory;

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
}

impl fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteDatabase({})", self.path.display())
    }
}
