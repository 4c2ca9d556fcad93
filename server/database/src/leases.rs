//! Leases: which process does a background chore, and when it was last done.

use async_trait::async_trait;
use protocol::Timestamp;

use crate::Result;

/// The right to do something alone until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What: the name of a chore.
    pub name: String,
    /// Who: a name that no other process has.
    pub holder: String,
    /// Until when, unless it is renewed.
    pub until: Timestamp,
}

/// How a chore last went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoreRun {
    /// When it began.
    pub started_at: Timestamp,
    /// When it had ended.
    pub finished_at: Timestamp,
    /// What it did, as JSON.
    pub report: String,
}

/// Leases, and the chores that are done under them.
///
/// A chore renews its lease between its steps, and stops when it cannot: somebody else may have it then. Clocks of replicas
/// may differ, so a lease is long against that difference, and a step is short against a lease.
#[async_trait]
pub trait Leases {
    /// Takes or renews a lease; `false` if somebody else has it.
    async fn acquire_lease(&self, lease: &Lease, now: Timestamp) -> Result<bool>;

    /// Gives a lease back; one that somebody else has by now stays theirs.
    async fn release_lease(&self, name: &str, holder: &str) -> Result<()>;

    /// The leases that have not run out, by name.
    async fn live_leases(&self, now: Timestamp) -> Result<Vec<Lease>>;

    /// Writes down how a chore went, in place of the time before.
    async fn note_chore_run(&self, name: &str, run: &ChoreRun) -> Result<()>;

    /// How a chore last went, if it ever ran.
    async fn last_chore_run(&self, name: &str) -> Result<Option<ChoreRun>>;
}
