//! What is kept, however long it was not used.

use std::sync::Arc;

use async_trait::async_trait;
use database::{CollectedCache, Database};
use formats::StorePathHash;
use protocol::Timestamp;

/// A path that is kept with all that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its hash part.
    pub hash: StorePathHash,
    /// What keeps it, for people.
    pub why: String,
}

/// A further source of roots.
///
/// Whoever adds a root calls [`database::PathCollection::spare_paths`] for it right after, and takes the path for lost if that says
/// that it is not there: a round that has begun knows nothing of the root yet.
#[async_trait]
pub trait ExtraRoots: std::fmt::Debug + Send + Sync {
    /// The roots in a cache at this time.
    async fn roots(&self, cache: &CollectedCache, now: Timestamp) -> database::Result<Vec<Root>>;
}

/// The roots of a cache: its pins, and what others want kept. A deleted cache has none.
pub(super) async fn of(
    database: &dyn Database,
    extra: &[Arc<dyn ExtraRoots>],
    cache: &CollectedCache,
    now: Timestamp,
) -> database::Result<Vec<Root>> {
    if cache.deleted_at.is_some() {
        return Ok(Vec::new());
    }
    let pins = database.list_pins(cache.id, now).await?;
    let mut roots: Vec<Root> = pins
        .into_iter()
        .map(|pin| Root { hash: *pin.path.hash(), why: format!("pin {} (revision {})", pin.name, pin.revision) })
        .collect();
    for source in extra {
        roots.extend(source.roots(cache, now).await?);
    }
    Ok(roots)
}
