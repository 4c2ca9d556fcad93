//! The journal: what happens to the index beside pushes, written into the storage, so that the index can be made anew from there.
//!
//! A push writes its records into the pack with its frames. Everything else that must survive the loss of the index goes through here,
//! as small packs without frames: caches with their settings and keys, promotion, revoked tokens, removals, damage. Nothing is
//! acknowledged before its record is durable.

mod caches;
mod promotions;
mod revocations;
mod seal;

use std::sync::Arc;

use database::{ChunkLocation, PackName};
use protocol::Clock;
use storage::Storage;
use tokio::sync::Mutex;

pub use caches::{JournalError, cache_of, promotion_keys_of};
pub use seal::{KeyUse, Seal, SealError};

use crate::pack::{self, DamageRecord, Record, Stamp, Stamps};

/// Writes records into the storage.
#[derive(Debug)]
pub struct Journal {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    stamps: Stamps,
    seal: Option<Seal>,
    /// Held by whoever records what has changed of promotion.
    promotions: Mutex<()>,
}

impl Journal {
    /// A journal in `storage`; secret keys are written only if there is a seal.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, seal: Option<Seal>) -> Arc<Self> {
        Arc::new(Self { storage, clock, stamps: Stamps::default(), seal, promotions: Mutex::default() })
    }

    /// The stamp of this moment.
    ///
    /// Whoever removes something takes it *before* the transaction that removes, and records the removal with it after: what is
    /// pushed again meanwhile has a later stamp, and stays.
    pub fn stamp(&self) -> Stamp {
        self.stamps.next(&*self.clock)
    }

    /// Makes `records` durable, true since `at`.
    ///
    /// # Errors
    /// If the storage fails. Then they may be there or not.
    pub async fn record(&self, at: Stamp, records: Vec<Record>) -> storage::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.storage.put(&pack::records_key(PackName(rand::random())), pack::of_records(at, records)).await
    }

    /// Records that these frames are damaged. Best effort: damage that is not recorded is found again.
    pub async fn damaged(&self, frames: &[ChunkLocation]) {
        let record =
            |frame: &ChunkLocation| Record::Damage(DamageRecord { pack: frame.pack.to_string(), offset: frame.offset });
        if let Err(error) = self.record(self.stamp(), frames.iter().map(record).collect()).await {
            tracing::warn!(%error, frames = frames.len(), "damage could not be recorded in the storage");
        }
    }

    /// Where records go.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// What time it is.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}
