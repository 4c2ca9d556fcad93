//! The index on PostgreSQL, which many servers may share.
//!
//! What it does is written once for both databases, in `server/database/sql`: its `shared.rs` says how, and how to add a
//! concern of the index. Here is what only PostgreSQL needs: `open` (addresses, the pool, migrations), `dialect`
//! (transactions, locks, what is tried again) `error` (what its failures mean) and `revision` (where the
//! index stands). Every statement is a file under
//! `server/database/sql`, checked when this crate is compiled; after a change run `server/database/postgres/prepare`.

mod catalogue;
mod dialect;
mod error;
mod open;
mod revision;
#[path = "../../sql/shared.rs"]
mod shared;
mod statistics;

use std::{fmt, sync::Arc};

use shared::{column, list};
use sqlx::PgPool;
use tokio::sync::Semaphore;

pub use crate::open::{OpenError, Options};

/// An open index. Clones share its connections.
#[derive(Clone)]
pub struct PostgresDatabase {
    pool: PgPool,
    /// Those that write leave some connections to those that read: a writer may have to wait for others with one in hand.
    writers: Arc<Semaphore>,
    /// When to look at tables that have just begun to grow.
    young: Arc<statistics::Young>,
    /// Where the state of the index is asked for.
    line: revision::Line,
    /// The address without its password.
    place: String,
}

impl PostgresDatabase {
    /// Closes all connections.
    pub async fn close(&self) {
        self.line.close().await;
        self.pool.close().await;
    }
}

impl fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresDatabase({})", self.place)
    }
}
