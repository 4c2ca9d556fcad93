//! The index on PostgreSQL, which many servers may share.
//!
//! What it does is written once for both databases, in `server/database/sql`: its `shared.rs` says how, and how to add a
//! concern of the index. Here is what only PostgreSQL needs: `open` (addresses, the pool, migrations), `dialect`
//! (transactions, locks, what is tried again) and `error` (what its failures mean). Every statement is a file under
//! `server/database/sql`, checked when this crate is compiled; after a change run `server/database/postgres/prepare`.

mod catalogue;
mod dialect;
mod error;
mod open;
#[path = "../../sql/shared.rs"]
mod shared;
mod statistics;

use std::{fmt, sync::Arc};

use database::{Revision, Revisions};
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
    /// The address without its password.
    place: String,
}

impl PostgresDatabase {
    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// To ask where the index stands is to ask the server, which costs as much as the question itself.
impl Revisions for PostgresDatabase {
    fn revision(&self) -> Option<Revision> {
        None
    }
}

impl fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresDatabase({})", self.place)
    }
}
