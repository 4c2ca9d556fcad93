//! Insight: how much there is, what it would be without deduplication and compression, and who takes it up.
//!
//! It is taken page by page, with one bit in memory for each chunk and as much for each cache; the result is kept in the index, one
//! for each day, for whoever asks. A cache's figures are those of its paths, so what two caches share counts in both.

mod census;
mod prefix;
mod top;

use std::{sync::Arc, time::Duration};

use database::{Census, Database};
use protocol::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{InspectError, turn::Turn};

pub use census::take;

/// How long to wait before asking again whether it is time.
const IDLE: Duration = Duration::from_secs(60);

/// How much there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stats {
    /// When it was taken, in seconds since 1970.
    pub taken_at: i64,
    /// Over all caches.
    pub totals: Totals,
    /// Of each cache, by name.
    pub caches: Vec<CacheStats>,
    /// Of paths by the beginnings of their names, those that take up most.
    pub prefixes: Vec<PrefixStats>,
    /// The paths with the largest NARs.
    pub largest: Vec<PathStats>,
    /// The paths of which most bytes are in others too.
    pub most_shared: Vec<PathStats>,
    /// What came on each of the last days, oldest first.
    pub growth: Vec<DayStats>,
}

/// Over all caches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// Paths, over all caches.
    pub paths: u64,
    /// Bytes of the NARs of all paths.
    pub nar_bytes: u64,
    /// The same after deduplication: bytes of the chunks that these NARs consist of, each chunk once.
    pub deduplicated_bytes: u64,
    /// The same after compression: bytes of their frames.
    pub compressed_bytes: u64,
    /// Bytes of all frames that the index knows, whether a path needs them or not.
    pub frame_bytes: u64,
    /// Bytes of all packs.
    pub pack_bytes: u64,
    /// Packs.
    pub packs: u64,
    /// Thousandths of the packs' bytes that are frames of paths.
    pub live_per_mille: u64,
    /// NARs that are hidden because stored bytes are damaged.
    pub quarantined_nars: u64,
}

/// Of one cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CacheStats {
    /// Its name.
    pub cache: String,
    /// Its paths.
    pub paths: u64,
    /// Bytes of their NARs.
    pub nar_bytes: u64,
    /// Bytes of them as they are served.
    pub file_bytes: u64,
    /// What it would take to store this cache alone: bytes of the frames that its NARs consist of, each once.
    pub compressed_bytes: u64,
    /// narinfos that were there, in the last 30 days.
    pub hits: u64,
    /// narinfos that were not.
    pub misses: u64,
}

/// Of the paths whose names begin alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PrefixStats {
    /// The name without its version: `hello` of `hello-2.12.1`.
    pub prefix: String,
    /// Paths.
    pub paths: u64,
    /// Bytes of their NARs.
    pub nar_bytes: u64,
    /// Bytes of them as they are served.
    pub file_bytes: u64,
}

/// Of one path.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PathStats {
    /// What the list goes by, in bytes: the size of the NAR, or how much of it is in others.
    pub bytes: u64,
    /// The cache.
    pub cache: String,
    /// The base name of the path.
    pub path: String,
    /// The size of the NAR in bytes.
    pub nar_bytes: u64,
    /// Thousandths of its bytes that are in other paths too; told of the most shared only.
    pub shared_per_mille: u64,
}

/// What came on a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DayStats {
    /// The beginning of the day, in seconds since 1970.
    pub day: i64,
    /// Paths that came and are still there.
    pub paths: u64,
    /// Bytes of their NARs.
    pub nar_bytes: u64,
    /// Bytes of all packs at the end of the day; none if nobody counted then.
    pub pack_bytes: Option<u64>,
}

/// Takes the figures now and then, on one replica, and keeps them in the index.
#[derive(Debug)]
pub struct Taking {
    database: Arc<dyn Database>,
    clock: Arc<dyn Clock>,
    interval: Duration,
    turn: Turn,
}

impl Taking {
    /// Takes them every `interval`.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, clock: Arc<dyn Clock>, interval: Duration) -> Self {
        let turn = Turn::new("stats", Arc::clone(&database), Arc::clone(&clock));
        Self { database, clock, interval, turn }
    }

    /// Goes on until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.turn.take(&stop, self.take_if_due()).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the statistics could not be taken");
            }
            let _ = tokio::time::timeout(IDLE.min(self.interval), stop.cancelled()).await;
        }
        self.turn.give_up().await;
    }

    async fn take_if_due(&self) -> Result<(), InspectError> {
        let last = self.database.list_censuses(1).await?.pop();
        let now = self.clock.now();
        if last.is_some_and(|last| now < last.taken_at.plus(self.interval)) {
            return Ok(());
        }
        keep(&*self.database, &take(&*self.database, now).await?).await
    }
}

/// Keeps figures in the index, in place of earlier ones of the day.
async fn keep(database: &dyn Database, stats: &Stats) -> Result<(), InspectError> {
    let figures = serde_json::to_string(stats).unwrap_or_default();
    Ok(database.keep_census(&Census { taken_at: Timestamp(stats.taken_at), figures }).await?)
}

/// The figures that were last kept.
///
/// # Errors
/// If the index fails.
pub async fn last(database: &dyn Database) -> Result<Option<Stats>, InspectError> {
    let census = database.list_censuses(1).await?.pop();
    // Figures of another version are as good as none: they are taken again.
    Ok(census.and_then(|census| serde_json::from_str(&census.figures).ok()))
}
