//! How SQLite is asked and written to, for the code that both databases share.

use std::ops::{Deref, DerefMut};

use database::{Error, Result};
use sqlx::{Sqlite, SqliteConnection, Transaction, pool::PoolConnection};

pub(crate) use crate::SqliteDatabase as Index;
use crate::{error::failed, revision::Noting};

/// What a statement is sent through.
pub(crate) type Connection = SqliteConnection;

/// There is no connection to be lost, and who waits for the lock waits in SQLite: one attempt is enough.
pub(crate) struct Attempts;

impl Attempts {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) async fn run<T, E>(
        &mut self,
        attempt: impl Future<Output = std::result::Result<T, E>>,
    ) -> Option<std::result::Result<T, E>> {
        Some(attempt.await)
    }
}

/// A connection for reading.
pub(crate) struct Reader(PoolConnection<Sqlite>);

impl Reader {
    /// Says that all went well.
    pub(crate) fn give_back(self) {}
}

/// A transaction that holds the lock; undone unless it ends well.
pub(crate) struct Writer {
    transaction: Transaction<'static, Sqlite>,
    /// If it makes notes only.
    noting: Option<Noting>,
}

impl Writer {
    /// Keeps what was done, if it was.
    pub(crate) async fn end<T, E: From<Error>>(self, done: std::result::Result<T, E>) -> std::result::Result<T, E> {
        match done {
            Ok(done) => {
                self.transaction.commit().await.map_err(failed)?;
                if let Some(noting) = self.noting {
                    noting.end();
                }
                Ok(done)
            }
            Err(error) => {
                // Not left to be done some time later; if it fails, closing the connection does the same.
                let _ = self.transaction.rollback().await;
                Err(error)
            }
        }
    }
}

impl Index {
    pub(crate) async fn reader(&self) -> Result<Reader> {
        Ok(Reader(self.readers.acquire().await.map_err(failed)?))
    }

    /// Begins a transaction that may write.
    ///
    /// IMMEDIATE takes the lock at once: a transaction that read first could find at its first write that another process
    /// wrote in between, and would have to start anew.
    pub(crate) async fn begin_alone(&self) -> Result<Writer> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        Ok(Writer { transaction, noting: None })
    }

    /// The same, for notes.
    pub(crate) async fn begin_noting(&self) -> Result<Writer> {
        let writer = self.begin_alone().await?;
        // Nobody else can commit from here on.
        Ok(Writer { noting: Noting::begin(&self.shared_memory), ..writer })
    }

    /// The same: SQLite has one writer.
    pub(crate) async fn begin_beside(&self) -> Result<Writer> {
        self.begin_alone().await
    }
}

/// Keeps others from changing these paths: nobody else writes.
pub(crate) async fn lock_paths(_: &mut Connection, _keys: &str) -> Result<()> {
    Ok(())
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Deref for Writer {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.transaction
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.transaction
    }
}
