//! What the index holds altogether, counted no more often than it costs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use database::{Database, Totals};
use tokio::time::Instant;

/// Counting takes at most this share of the time: one in so many.
const SHARE: u32 = 100;
/// Whoever asks waits for a count that took less than this the last time; else they get the last one.
const PATIENCE: Duration = Duration::from_millis(250);

/// The totals as they were counted last.
#[derive(Debug, Default)]
pub struct Figures {
    counted: Mutex<Option<Counted>>,
    /// One at a time counts.
    counting: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    totals: Totals,
    at: Instant,
    took: Duration,
}

impl Counted {
    fn is_due(&self) -> bool {
        self.at.elapsed() >= self.took * SHARE
    }
}

impl Figures {
    /// The totals, and how old they are. A small index is counted for each caller; a large one now and then, behind their backs.
    ///
    /// # Errors
    /// If the index cannot be counted and never was.
    pub async fn totals(self: &Arc<Self>, database: &Arc<dyn Database>) -> database::Result<(Totals, Duration)> {
        let last = self.last();
        let counted = match last {
            Some(counted) if !counted.is_due() => counted,
            Some(counted) if counted.took > PATIENCE => {
                self.count_behind(database);
                counted
            }
            _ => {
                let _alone = self.counting.lock().await;
                // Somebody else may have counted meanwhile.
                match self.last() {
                    Some(counted) if !counted.is_due() => counted,
                    _ => self.count(database).await?,
                }
            }
        };
        Ok((counted.totals, counted.at.elapsed()))
    }

    fn last(&self) -> Option<Counted> {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn count(&self, database: &Arc<dyn Database>) -> database::Result<Counted> {
        let begin = Instant::now();
        let totals = database.totals().await?;
        let counted = Counted { totals, at: Instant::now(), took: begin.elapsed() };
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
        Ok(counted)
    }

    fn count_behind(self: &Arc<Self>, database: &Arc<dyn Database>) {
        let Ok(alone) = Arc::clone(&self.counting).try_lock_owned() else { return };
        let (this, database) = (Arc::clone(self), Arc::clone(database));
        tokio::spawn(async move {
            if let Err(error) = this.count(&database).await {
                tracing::warn!(%error, "the index could not be counted");
            }
            drop(alone);
        });
    }
}
