//! Collection: what nobody needs any more goes, and the space that it took comes back.
//!
//! ```text
//! paths ─► uploads, documents ─► NARs ─► chunks ─► packs ─► objects
//! ```
//!
//! A round walks down this chain once. At each link it removes what an earlier round condemned and nothing has used since, and
//! condemns what it finds unused now. So nothing goes in the round that first finds it unused, and whoever uses something in
//! between spares it. What is half done is a state in the index: a round that dies is continued by the next one, on whatever
//! replica. The order of removal is such that nothing ever refers to what is gone.

mod bitmap;
mod delete;
mod documents;
mod explain;
mod graph;
mod keeper;
mod mark;
mod packs;
mod paths;
mod plan;
mod records;
mod report;
mod rewrite;
mod roots;
mod strays;
mod sweep;

use std::{sync::Arc, time::Duration};

use database::{CacheId, CollectedCache, Database};
use protocol::{Clock, Timestamp};

use crate::{
    audit::Who,
    chore::{Chore, ChoreError},
    journal::Journal,
};

pub use delete::{Deletion, Reach};
pub use explain::{Explanation, Reason};
pub use paths::CachePlan;
pub use report::Report;
pub use roots::{ExtraRoots, Root};

/// The name of the chore, under which it has its lease and its last run.
pub const CHORE: &str = "collect";

/// What is kept, and how careful to be.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long a path stays after its last use, where its cache does not say; `None` is for ever.
    pub retention: Option<Duration>,
    /// How many bytes all caches may hold together; beyond that the least recently used go.
    pub max_size: Option<u64>,
    /// How long what is condemned is left as it is.
    pub grace: Duration,
    /// How long an upload may take from its first chunk to its narinfo.
    pub upload_lease: Duration,
    /// Packs are rewritten when less than this share of them is in use, in percent.
    pub live_percent: u64,
    /// Whether deleted caches keep their keys.
    pub soft_delete_caches: bool,
}

impl Policy {
    /// The same with another grace; an upload has no longer than that, either.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, upload_lease: self.upload_lease.min(grace), ..self }
    }
}

/// Why a round stopped. What it had done by then is done.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The index failed.
    #[error("the index failed")]
    Database(#[from] database::Error),
    /// The storage failed.
    #[error("the storage failed")]
    Storage(#[from] storage::Error),
    /// Somebody else collects now.
    #[error(transparent)]
    Chore(#[from] ChoreError),
}

/// Collects.
#[derive(Debug, Clone)]
pub struct Collector {
    database: Arc<dyn Database>,
    journal: Arc<Journal>,
    policy: Policy,
    extra: Vec<Arc<dyn ExtraRoots>>,
    who: Who,
}

/// A round being made: what it goes by, and what it has done so far.
struct Round<'a> {
    collector: &'a Collector,
    chore: &'a Chore,
    now: Timestamp,
    report: Report,
}

impl Collector {
    /// A collector of what `database` knows and `journal`'s storage holds.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, journal: Arc<Journal>, policy: Policy) -> Self {
        Self { database, journal, policy, extra: Vec::new(), who: Who::server() }
    }

    /// Keeps these roots too.
    #[must_use]
    pub fn with_roots(mut self, roots: Arc<dyn ExtraRoots>) -> Self {
        self.extra.push(roots);
        self
    }

    /// The audit says that this is whose doing it is.
    #[must_use]
    pub fn acting_for(self, who: Who) -> Self {
        Self { who, ..self }
    }

    /// What decides.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Where what changes is recorded.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The index.
    #[must_use]
    pub fn database(&self) -> &Arc<dyn Database> {
        &self.database
    }

    /// A cache as the collector sees it.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn find_cache(&self, id: CacheId) -> database::Result<Option<CollectedCache>> {
        Ok(self.database.collected_caches().await?.into_iter().find(|cache| cache.id == id))
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.journal.clock()
    }

    /// Takes the lease of the chore; `None` if another process collects.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn begin(&self) -> Result<Option<Chore>, CollectError> {
        Ok(Chore::begin(CHORE, &self.database, self.clock()).await?)
    }

    /// Makes one round.
    ///
    /// # Errors
    /// If the index or the storage fails, or the lease is lost. The next round goes on from there.
    pub async fn round(&self, chore: &Chore) -> Result<Report, CollectError> {
        let mut round = Round { collector: self, chore, now: self.clock().now(), report: Report::default() };
        let outcome = round.run().await;
        round.report.count();
        outcome.map(|()| round.report)
    }

    /// Makes rounds until there is nothing left to do at this time: with no grace, until everything is gone that can go.
    ///
    /// # Errors
    /// As [`Collector::round`].
    pub async fn rounds(&self, chore: &Chore) -> Result<Report, CollectError> {
        /// A chain from a path to its object takes five.
        const MAX_ROUNDS: u32 = 10;
        let mut total = Report::default();
        for _ in 0..MAX_ROUNDS {
            let report = self.round(chore).await?;
            total.add(&report);
            if report.is_idle() {
                break;
            }
        }
        Ok(total)
    }
}

impl Round<'_> {
    async fn run(&mut self) -> Result<(), CollectError> {
        let before = self.database().last_rows().await?;
        self.database().note_watermark(before, self.now).await?;
        let watermark = self.database().watermark_at(self.now.minus(self.policy().upload_lease)).await?;
        self.paths().await?;
        self.uploads().await?;
        let marked = self.mark().await?;
        self.sweep(&marked, watermark.chunk).await?;
        drop(marked);
        self.packs(watermark.pack).await?;
        self.strays().await?;
        self.objects().await?;
        self.unfinished().await?;
        self.merge_records().await?;
        Ok(())
    }

    fn database(&self) -> &Arc<dyn Database> {
        &self.collector.database
    }

    fn policy(&self) -> &Policy {
        &self.collector.policy
    }

    /// Whatever was condemned by then has been so for long enough.
    fn condemned_by(&self) -> Timestamp {
        self.now.minus(self.policy().grace)
    }
}

#[cfg(test)]
mod simulation;
