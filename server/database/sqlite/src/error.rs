//! What SQLite's failures mean to the rest of the server.

use database::Error;

/// Result codes after which the same call may succeed later. The low byte is the code; the rest says more.
mod transient {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NO_MEMORY: i32 = 7;
    pub(super) const INTERRUPT: i32 = 9;
    pub(super) const IO: i32 = 10;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANNOT_OPEN: i32 = 14;
    pub(super) const PROTOCOL: i32 = 15;
    pub(super) const ALL: [i32; 8] = [BUSY, LOCKED, NO_MEMORY, INTERRUPT, IO, FULL, CANNOT_OPEN, PROTOCOL];
}

/// Sorts a failure by whether it may pass.
pub(crate) fn failed(error: sqlx::Error) -> Error {
    let passes = match &error {
        sqlx::Error::Database(e) => e
            .code()
            .and_then(|code| code.parse::<i32>().ok())
            .is_some_and(|code| transient::ALL.contains(&(code & 0xff))),
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    if passes { Error::Unavailable(Box::new(error)) } else { Error::Failed(Box::new(error)) }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use database::{Chunks, Commit, CommitError, NewChunk, NewPack, PackName, Paths};
    use protocol::ChunkHash;
    use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::SqliteDatabase;

    fn commit(number: u8, chunks: u32) -> Commit {
        let chunk = |at: u32| NewChunk {
            hash: ChunkHash::of(format!("{number}/{at}").as_bytes()),
            offset: 0,
            stored_size: 1,
            size: 1,
            check: 0,
            cache: None,
        };
        let pack = NewPack { name: PackName([number; 16]), size: 1, chunks: (0..chunks).map(chunk).collect() };
        Commit { packs: vec![pack], ..Commit::default() }
    }

    async fn impatient(path: &Path) -> SqliteConnection {
        SqliteConnectOptions::new().filename(path).busy_timeout(Duration::ZERO).connect().await.unwrap()
    }

    #[tokio::test]
    async fn another_writer_passes_a_broken_rule_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.db");
        let database = SqliteDatabase::open(&path).await.unwrap();
        let mut other = impatient(&path).await;
        let writing = database.begin_alone().await.unwrap();
        let busy = sqlx::query("DELETE FROM cache").execute(&mut other).await.unwrap_err();
        assert!(matches!(failed(busy), Error::Unavailable(_)));
        let undone: Result<(), Error> = writing.end(Err(Error::Failed("given up".into()))).await;
        undone.unwrap_err();
        let broken = "INSERT INTO cache_key (cache_id, position, secret) VALUES (99, 0, '')";
        let broken = sqlx::query(broken).execute(&mut other).await.unwrap_err();
        assert!(matches!(failed(broken), Error::Failed(_)));

        database.close().await;
        assert!(matches!(database.totals().await, Err(Error::Unavailable(_))));
    }

    #[tokio::test]
    async fn after_a_full_disk_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteDatabase::open(folder.path().join("index.db")).await.unwrap();
        let limit = |pages: u32| sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}")));
        limit(60).execute(&database.writer).await.unwrap();
        database.commit(&commit(1, 10)).await.unwrap();
        for _ in 0..3 {
            let full = database.commit(&commit(2, 5000)).await;
            assert!(matches!(full, Err(CommitError::Database(Error::Unavailable(_)))), "{full:?}");
            assert_eq!(database.totals().await.unwrap().chunks, 10);
        }
        limit(100_000).execute(&database.writer).await.unwrap();
        database.commit(&commit(2, 5000)).await.unwrap();
        assert_eq!(database.totals().await.unwrap().chunks, 5010);
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteDatabase::open(folder.path().join("index.db")).await.unwrap();
        for polls in 0..40 {
            // Dropped at every place where it waits.
            let large = commit(1, 3000);
            let mut call = Box::pin(database.commit(&large));
            for _ in 0..polls {
                let waited = tokio::time::timeout(Duration::from_micros(200), &mut call).await;
                if waited.is_ok() {
                    break;
                }
            }
            drop(call);
            let chunks = database.totals().await.unwrap().chunks;
            assert!(chunks == 0 || chunks == 3000, "{chunks}");
        }
        database.commit(&commit(2, 1)).await.unwrap();
        assert!(database.find_chunks(&[ChunkHash::of(b"2/0")]).await.unwrap()[0].is_some());
    }
}
