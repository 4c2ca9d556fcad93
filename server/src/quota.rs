//! Whether a cache takes anything in: it may be read-only, or full.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use database::{Cache, CacheId, CacheLimits, Database};
use protocol::Timestamp;

use crate::metrics as names;

/// For so long a cache's size is not summed up anew: pushes in between may go over the quota.
const FRESH: Duration = Duration::from_secs(60);

/// How much caches hold, as last summed up.
#[derive(Debug, Default)]
pub struct Quotas(Mutex<HashMap<CacheId, (Timestamp, u64)>>);

/// Why a cache takes nothing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It is read-only.
    ReadOnly,
    /// It holds as much as it may.
    Full {
        /// How much it may hold, in bytes.
        quota: u64,
        /// How much it holds, in bytes.
        used: u64,
    },
}

impl Quotas {
    /// Whether a cache takes something in now, and if not, why.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn check(
        &self,
        database: &dyn Database,
        cache: &Cache,
        now: Timestamp,
    ) -> database::Result<Result<(), Closed>> {
        let limits: CacheLimits = database.find_limits(cache.id).await?;
        if limits.is_read_only {
            return Ok(Err(Closed::ReadOnly));
        }
        let Some(quota) = limits.quota else { return Ok(Ok(())) };
        let used = self.used(database, cache, now).await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!(names::CACHE_QUOTA_BYTES, "cache" => cache.name.to_string()).set(quota as f64);
        Ok(if used >= quota { Err(Closed::Full { quota, used }) } else { Ok(()) })
    }

    async fn used(&self, database: &dyn Database, cache: &Cache, now: Timestamp) -> database::Result<u64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&cache.id).copied();
        if let Some((_, used)) = known.filter(|(at, _)| now < at.plus(FRESH)) {
            return Ok(used);
        }
        let used = database.used_bytes(cache.id).await?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(cache.id, (now, used));
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!(names::CACHE_USED_BYTES, "cache" => cache.name.to_string()).set(used as f64);
        Ok(used)
    }
}
