//! The scrub: looking at everything all the time, slowly, inside the server.
//!
//! A round goes through every pack, then every NAR, then every object of records, and is remembered in the index after each step,
//! so that it goes on where it was after a restart. One replica does it, under a lease. What it finds it treats as reading does,
//! and tells: in the log, in the metrics, in the audit.

use std::{sync::Arc, time::Duration};

use database::{Act, Database, NarId, PackId, ScrubProgress};
use protocol::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Depth, Finding, InspectError, Inspector, Marked, Weight, nar::CacheNames, turn::Turn};
use crate::{
    audit::{self, Deed, Who},
    journal::Journal,
    metrics as names,
};

/// The name of the lease.
const NAME: &str = "scrub";
/// How long to wait before asking again whether there is something to do.
const IDLE: Duration = Duration::from_secs(30);
/// A round that has all packs behind it.
const PACKS_DONE: i64 = i64::MAX;

/// How to scrub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The most bytes to read in a second.
    pub bytes_per_second: u64,
    /// A round begins no earlier than this after the end of the last one.
    pub interval: Duration,
}

/// Looks through the store, step by step.
#[derive(Debug)]
pub struct Scrub {
    journal: Arc<Journal>,
    database: Arc<dyn Database>,
    options: Options,
    inspector: Inspector,
    turn: Turn,
}

/// What a step was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something was looked at.
    Looked,
    /// The round is over.
    Ended,
    /// It is too early for another round.
    Waiting,
}

impl Scrub {
    /// A scrub of the storage of `journal`.
    #[must_use]
    pub fn new(journal: Arc<Journal>, database: Arc<dyn Database>, options: Options) -> Self {
        let inspector = Inspector::new(Arc::clone(&journal), Arc::clone(&database), Depth::Hashes);
        let inspector = inspector.at_most(options.bytes_per_second);
        let turn = Turn::new(NAME, Arc::clone(&database), Arc::clone(journal.clock()));
        Self { journal, database, options, inspector, turn }
    }

    /// Scrubs whenever this process has the lease, until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.turn.take(&stop, self.step()).await {
                Ok(Some(Step::Looked)) => Duration::ZERO,
                Ok(Some(Step::Ended | Step::Waiting) | None) => IDLE.min(self.options.interval),
                Err(error) => {
                    metrics::counter!(names::SCRUB_FAILURES).increment(1);
                    tracing::warn!(error = &error as &dyn std::error::Error, "the scrub cannot go on; it tries again");
                    IDLE
                }
            };
            let _ = tokio::time::timeout(pause, stop.cancelled()).await;
            tokio::task::yield_now().await;
        }
        self.turn.give_up().await;
    }

    fn now(&self) -> Timestamp {
        self.journal.clock().now()
    }

    /// Looks at one pack or one NAR, and remembers it.
    ///
    /// # Errors
    /// If the storage or the index cannot be read. Damage is no error.
    pub async fn step(&self) -> Result<Step, InspectError> {
        let mut progress = self.database.scrub_progress().await?;
        if progress.began_at == 0 {
            if self.now() < Timestamp(progress.ended_at).plus(self.options.interval) && progress.ended_at != 0 {
                return Ok(Step::Waiting);
            }
            progress.began_at = self.now().0.max(1);
            tracing::info!("a round of the scrub begins");
        }
        let step = if progress.after_pack == PACKS_DONE {
            self.next_nar(&mut progress).await?
        } else {
            self.next_pack(&mut progress).await?
        };
        self.database.keep_scrub_progress(&progress).await?;
        Ok(step)
    }

    async fn next_pack(&self, progress: &mut ScrubProgress) -> Result<Step, InspectError> {
        let Some(row) = self.database.list_packs(PackId(progress.after_pack), 1).await?.pop() else {
            progress.after_pack = PACKS_DONE;
            return Ok(Step::Looked);
        };
        let look = self.inspector.pack(row).await?;
        let mut marked = Marked::default();
        self.inspector.mark_pack(&look, self.now(), &mut marked).await?;
        progress.after_pack = row.id.0;
        self.tell(look.findings, look.bytes, marked, progress).await;
        Ok(Step::Looked)
    }

    async fn next_nar(&self, progress: &mut ScrubProgress) -> Result<Step, InspectError> {
        let Some(nar) = self.database.list_nars(NarId(progress.after_nar), 1).await?.pop() else {
            return self.end(progress).await;
        };
        let look = self.inspector.nar(&nar, &self.cache_names().await?, true).await?;
        let mut marked = Marked::default();
        self.inspector.mark_nar(&nar, &look, self.now(), &mut marked).await?;
        progress.after_nar = nar.id.0;
        // One that was in quarantine before is no news.
        let findings = look.findings.into_iter().filter(|f| !matches!(f, Finding::NarQuarantined { .. })).collect();
        self.tell(findings, look.bytes, marked, progress).await;
        Ok(Step::Looked)
    }

    /// Looks at the objects of records, and ends the round.
    async fn end(&self, progress: &mut ScrubProgress) -> Result<Step, InspectError> {
        let (mut examined, mut findings) = (super::Examined::default(), Vec::new());
        self.inspector.record_objects(&mut examined, &mut |finding| findings.push(finding)).await?;
        self.tell(findings, examined.bytes, Marked::default(), progress).await;
        tracing::info!(read_bytes = progress.read_bytes, found = progress.found, "a round of the scrub has ended");
        *progress = ScrubProgress { ended_at: self.now().0, last_found: progress.found, ..ScrubProgress::default() };
        Ok(Step::Ended)
    }

    async fn cache_names(&self) -> Result<CacheNames, InspectError> {
        let caches = self.database.list_caches().await?;
        Ok(caches.into_iter().map(|cache| (cache.id, cache.name.to_string())).collect())
    }

    /// Tells of what was found.
    async fn tell(&self, findings: Vec<Finding>, bytes: u64, marked: Marked, progress: &mut ScrubProgress) {
        metrics::counter!(names::SCRUBBED_BYTES).increment(bytes);
        progress.read_bytes += bytes;
        for finding in findings.iter().filter(|finding| finding.weight() == Weight::Damage) {
            progress.found += 1;
            metrics::counter!(names::SCRUB_FINDINGS, "kind" => finding.kind()).increment(1);
            tracing::error!(kind = finding.kind(), "the scrub found damage: {finding}");
            let deed = Deed::done(Act::ScrubFind).object(finding.kind()).detail(finding.to_string());
            audit::note(&*self.database, self.now(), &Who::server(), deed).await;
        }
        if marked != Marked::default() {
            tracing::error!(
                chunks = marked.chunks,
                nars = marked.nars,
                listings = marked.listings,
                "what cannot be served is hidden until it is pushed again"
            );
        }
    }
}
