//! What a cache may hold.

use async_trait::async_trait;

use crate::{CacheId, Result};

/// The limits of a cache. Sizes are those of its NARs as they are served, each NAR once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheLimits {
    /// Beyond this many bytes the least recently used paths go.
    pub max_size: Option<u64>,
    /// Beyond this many bytes pushes are refused.
    pub quota: Option<u64>,
    /// Whether it takes nothing in.
    pub is_read_only: bool,
}

/// The limits of caches.
#[async_trait]
pub trait Limits {
    /// The limits of a cache.
    async fn find_limits(&self, cache: CacheId) -> Result<CacheLimits>;

    /// Sets them.
    async fn set_limits(&self, cache: CacheId, limits: &CacheLimits) -> Result<()>;

    /// How much a cache holds, in bytes, as its limits count it. Reads every path of it.
    async fn used_bytes(&self, cache: CacheId) -> Result<u64>;
}
