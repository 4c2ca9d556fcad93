//! Which paths were used: gathered in memory, written in batches.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use database::{CacheId, Database};
use formats::StorePathHash;
use protocol::Timestamp;

/// Beyond this many paths, further ones wait for the next batch: memory is bounded, and a lost note only ages a path a little.
const MAX_WAITING: usize = 100_000;

/// The paths that were used since they were last written down.
#[derive(Debug, Default)]
pub struct Usage(Mutex<HashSet<(CacheId, StorePathHash)>>);

impl Usage {
    /// Notes that a path was used.
    pub fn note(&self, cache: CacheId, hash: StorePathHash) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MAX_WAITING {
            waiting.insert((cache, hash));
        }
    }

    /// Writes down what was noted.
    ///
    /// # Errors
    /// If the index fails; the notes are lost then, which does no harm.
    pub async fn flush(&self, database: &dyn Database, now: Timestamp) -> database::Result<()> {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let noted: Vec<_> = noted.into_iter().collect();
        for batch in noted.chunks(1000) {
            database.touch_paths(batch, now).await?;
        }
        Ok(())
    }
}
