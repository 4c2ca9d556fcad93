//! Pins: paths that are kept with everything they refer to.

use async_trait::async_trait;
use formats::StorePath;
use protocol::Timestamp;

use crate::{CacheId, Result};

/// A revision of a pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its name within the cache.
    pub name: String,
    /// Its revision, from 1.
    pub revision: u32,
    /// What is kept.
    pub path: StorePath,
    /// When it was pinned.
    pub created_at: Timestamp,
    /// Until when, if not for ever.
    pub expires_at: Option<Timestamp>,
    /// The subject of the token that pinned it.
    pub pinned_by: Option<String>,
}

/// A path to be pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPin {
    /// The cache.
    pub cache: CacheId,
    /// As in [`Pin`].
    pub name: String,
    /// As in [`Pin`].
    pub path: StorePath,
    /// How many revisions the name has from now on, this one among them; `None` keeps those that there are.
    pub keep: Option<u32>,
    /// As in [`Pin`].
    pub expires_at: Option<Timestamp>,
    /// As in [`Pin`].
    pub pinned_by: Option<String>,
    /// When it is pinned.
    pub now: Timestamp,
}

/// Pins of caches.
#[async_trait]
pub trait Pins {
    /// Pins a path and gives the revision; `None` if the cache does not have the path. The same path once more renews the
    /// newest revision.
    async fn add_pin(&self, pin: &NewPin) -> Result<Option<u32>>;

    /// The pins of a cache that have not run out, by name and revision.
    async fn list_pins(&self, cache: CacheId, now: Timestamp) -> Result<Vec<Pin>>;

    /// Removes every revision of a pin, or one; says how many.
    async fn remove_pin(&self, cache: CacheId, name: &str, revision: Option<u32>) -> Result<u64>;

    /// Forgets pins that have run out; says how many.
    async fn remove_expired_pins(&self, now: Timestamp) -> Result<u64>;
}
