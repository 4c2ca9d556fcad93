//! Which paths and tokens were used: gathered in memory, written in batches.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use database::{CacheId, Database, Traffic};
use formats::StorePathHash;
use protocol::Timestamp;

/// Beyond this many paths, further ones wait for the next batch: memory is bounded, and a lost note only ages a path a little.
const MAX_WAITING: usize = 100_000;
/// The same for tokens.
const MAX_WAITING_TOKENS: usize = 10_000;

/// The paths and tokens that were used since they were last written down, and how often each cache had what was asked for.
#[derive(Debug, Default)]
pub struct Usage {
    waiting: Mutex<Waiting>,
    tokens: Mutex<HashSet<String>>,
}

#[derive(Debug, Default)]
struct Waiting {
    paths: HashSet<(CacheId, StorePathHash)>,
    /// Hits and misses.
    traffic: HashMap<CacheId, (u64, u64)>,
}

/// The seconds of a day.
const DAY: i64 = 86_400;

impl Usage {
    /// Notes that a path was used.
    pub fn note(&self, cache: CacheId, hash: StorePathHash) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.traffic.entry(cache).or_default().0 += 1;
        if waiting.paths.len() < MAX_WAITING {
            waiting.paths.insert((cache, hash));
        }
    }

    /// Notes that a path was asked for that the cache does not show.
    pub fn note_miss(&self, cache: CacheId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.traffic.entry(cache).or_default().1 += 1;
    }

    /// Notes that a token was used.
    pub fn note_token(&self, id: &str) {
        let mut waiting = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MAX_WAITING_TOKENS && !waiting.contains(id) {
            waiting.insert(id.to_owned());
        }
    }

    /// Writes down what was noted.
    ///
    /// # Errors
    /// If the index fails; the notes are lost then, which does no harm.
    pub async fn flush(&self, database: &dyn Database, now: Timestamp) -> database::Result<()> {
        let tokens = std::mem::take(&mut *self.tokens.lock().unwrap_or_else(PoisonError::into_inner));
        let tokens: Vec<_> = tokens.into_iter().collect();
        for batch in tokens.chunks(1000) {
            database.touch_tokens(batch, now).await?;
        }
        let noted = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let day = now.0.div_euclid(DAY);
        let traffic = noted.traffic.into_iter().map(|(cache, (hits, misses))| Traffic { cache, day, hits, misses });
        let (traffic, noted): (Vec<_>, Vec<_>) = (traffic.collect(), noted.paths.into_iter().collect());
        database.add_traffic(&traffic).await?;
        for batch in noted.chunks(1000) {
            database.touch_paths(batch, now).await?;
        }
        Ok(())
    }
}
