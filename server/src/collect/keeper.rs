//! Collecting now and then, as long as the server runs.

use std::time::Duration;

use metrics::counter;
use tokio_util::sync::CancellationToken;

use super::{CHORE, CollectError, Collector, Report};
use crate::{config::Config, metrics as names};

/// How often it is asked whether it is time.
const LOOK: Duration = Duration::from_secs(60);

impl super::Policy {
    /// What the configuration says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let collection = &config.flywheel.collection;
        Self {
            retention: config.garbage_collection.retention(),
            max_size: Some(collection.max_size.0).filter(|&size| size > 0),
            grace: collection.grace.0,
            upload_lease: collection.upload_lease.0,
            live_percent: u64::from(collection.rewrite_below.min(100)),
            soft_delete_caches: config.soft_delete_caches,
        }
    }
}

impl Collector {
    /// Makes a round every `interval`, over all replicas, until it is told to stop. What fails is tried again.
    pub async fn keep_collecting(&self, interval: Duration, stop: CancellationToken) {
        let look = LOOK.min(interval);
        while tokio::time::timeout(look, stop.cancelled()).await.is_err() {
            let round = tokio::select! {
                // Between two transactions it may be left off at any time.
                () = stop.cancelled() => return,
                round = self.collect_if_due(interval) => round,
            };
            match round {
                Ok(None) => {}
                Ok(Some(report)) if report.is_idle() => tracing::debug!("collected: there was nothing to do"),
                Ok(Some(report)) => tracing::info!(?report, "collected"),
                Err(error) => {
                    counter!(names::GC_FAILURES).increment(1);
                    tracing::error!(error = &error as &dyn std::error::Error, "collection failed and is tried again");
                }
            }
        }
    }

    /// Makes a round if the last one was that long ago and nobody else is at it.
    ///
    /// # Errors
    /// As [`Collector::round`].
    pub async fn collect_if_due(&self, interval: Duration) -> Result<Option<Report>, CollectError> {
        let last = self.database.last_chore_run(CHORE).await?;
        if last.is_some_and(|run| run.finished_at.plus(interval) > self.clock().now()) {
            return Ok(None);
        }
        let Some(chore) = self.begin().await? else { return Ok(None) };
        match self.round(&chore).await {
            Ok(report) => {
                chore.end(serde_json::to_string(&report).unwrap_or_default()).await?;
                Ok(Some(report))
            }
            Err(error) => {
                chore.give_up().await;
                Err(error)
            }
        }
    }
}
