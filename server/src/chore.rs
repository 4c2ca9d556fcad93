//! Background chores: one replica does each, under a lease in the index.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use database::{ChoreRun, Database, Lease};
use protocol::{Clock, Timestamp};

/// How long a lease holds without being renewed: long against a step of a chore, and against what clocks may differ by.
const LEASE: Duration = Duration::from_secs(120);

/// A chore that this process alone does, for as long as it renews it.
#[derive(Debug)]
pub struct Chore {
    name: &'static str,
    holder: String,
    database: Arc<dyn Database>,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    /// When the lease was last renewed, in seconds since 1970.
    renewed_at: AtomicI64,
}

/// Why a chore cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ChoreError {
    /// Somebody else has its lease.
    #[error("another process has taken over {0}")]
    Lost(&'static str),
    /// The index failed.
    #[error("the index failed")]
    Database(#[from] database::Error),
}

impl Chore {
    /// Takes the lease of a chore; `None` if somebody else has it.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn begin(
        name: &'static str,
        database: &Arc<dyn Database>,
        clock: &Arc<dyn Clock>,
    ) -> database::Result<Option<Self>> {
        let holder = format!("{:032x}", rand::random::<u128>());
        let (database, clock) = (Arc::clone(database), Arc::clone(clock));
        let started_at = clock.now();
        let renewed_at = AtomicI64::new(started_at.0);
        let chore = Self { name, holder, database, clock, started_at, renewed_at };
        Ok(chore.acquire().await?.then_some(chore))
    }

    async fn acquire(&self) -> database::Result<bool> {
        let now = self.clock.now();
        let lease = Lease { name: self.name.to_owned(), holder: self.holder.clone(), until: now.plus(LEASE) };
        let acquired = self.database.acquire_lease(&lease, now).await?;
        self.renewed_at.store(now.0, Ordering::SeqCst);
        Ok(acquired)
    }

    /// Moves the end of the lease on. To be called before every step that changes something.
    ///
    /// # Errors
    /// If the lease is lost: the chore must stop then.
    pub async fn renew(&self) -> Result<(), ChoreError> {
        let renewed_at = Timestamp(self.renewed_at.load(Ordering::SeqCst));
        // Nobody else can have it before it runs out.
        if self.clock.now() < renewed_at.plus(LEASE / 4) {
            return Ok(());
        }
        if self.acquire().await? { Ok(()) } else { Err(ChoreError::Lost(self.name)) }
    }

    /// When it began.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Gives the lease back, and writes down what was done.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn end(self, report: String) -> database::Result<()> {
        let run = ChoreRun { started_at: self.started_at, finished_at: self.clock.now(), report };
        self.database.note_chore_run(self.name, &run).await?;
        self.database.release_lease(self.name, &self.holder).await
    }

    /// Gives the lease back without having done what there was to do.
    pub async fn give_up(self) {
        if let Err(error) = self.database.release_lease(self.name, &self.holder).await {
            tracing::warn!(%error, chore = self.name, "a lease could not be given back; it runs out by itself");
        }
    }
}
