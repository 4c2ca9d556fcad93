//! Chunks in flight: who is storing which, so that no chunk is stored twice by uploads that run side by side.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use database::CacheId;
use protocol::ChunkHash;
use tokio::sync::watch;

use super::{StoreError, lane::Lane};

/// The chunks that some upload is storing and the index does not know yet.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<ChunkHash, Arc<Ticket>>>);

/// A chunk in flight, as others see it.
#[derive(Debug)]
pub struct Ticket {
    lane: Weak<Lane>,
    /// `None` while the chunk is under way, then whether it was stored.
    outcome: watch::Sender<Option<bool>>,
}

/// The claim to store a chunk. Settled when the chunk is in the index; dropped before that, it has failed.
#[derive(Debug)]
pub(super) struct Reservation {
    hash: ChunkHash,
    ticket: Arc<Ticket>,
    in_flight: Arc<InFlight>,
}

/// What [`InFlight::reserve`] found.
pub(super) enum Reserved {
    /// Nobody had it: now the caller does.
    Mine(Reservation),
    /// Somebody is storing it.
    Elsewhere(Arc<Ticket>),
}

impl InFlight {
    /// Claims each of `hashes` for `lane`, unless somebody has it under way.
    pub(super) fn reserve(self: &Arc<Self>, hashes: &[ChunkHash], lane: &Arc<Lane>) -> Vec<Reserved> {
        let mut map = self.lock();
        let mut claim = |&hash: &ChunkHash| {
            if let Some(ticket) = map.get(&hash) {
                return Reserved::Elsewhere(Arc::clone(ticket));
            }
            let ticket = Arc::new(Ticket { lane: Arc::downgrade(lane), outcome: watch::Sender::new(None) });
            map.insert(hash, Arc::clone(&ticket));
            Reserved::Mine(Reservation { hash, ticket, in_flight: Arc::clone(self) })
        };
        hashes.iter().map(&mut claim).collect()
    }

    /// The tickets of those of `hashes` that are under way.
    pub(super) fn tickets(&self, hashes: &[ChunkHash]) -> Vec<Arc<Ticket>> {
        let map = self.lock();
        hashes.iter().filter_map(|hash| map.get(hash).cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChunkHash, Arc<Ticket>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// The chunk's name.
    pub(super) fn hash(&self) -> ChunkHash {
        self.hash
    }

    /// The chunk is in the index.
    pub(super) fn settle(self) {
        self.ticket.outcome.send_replace(Some(true));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.in_flight.lock().remove(&self.hash);
        self.ticket.outcome.send_if_modified(|outcome| {
            let unsettled = outcome.is_none();
            outcome.get_or_insert(false);
            unsettled
        });
    }
}

impl Ticket {
    /// Whether whoever has the chunk pushes to `cache`.
    pub(super) fn is_for(&self, cache: CacheId) -> bool {
        self.lane.upgrade().is_some_and(|lane| lane.cache() == cache)
    }

    /// Whether it is this lane that has the chunk.
    pub(crate) fn is_in(&self, lane: &Arc<Lane>) -> bool {
        std::ptr::eq(self.lane.as_ptr(), Arc::as_ptr(lane))
    }

    /// Waits until the chunk is in the index, or has failed to get there.
    pub(super) async fn ended(&self) {
        // The sender is ours.
        let _ = self.outcome.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until the chunk is in the index, hurrying whoever has it.
    pub(crate) async fn settled(&self) -> Result<(), StoreError> {
        let mut outcome = self.outcome.subscribe();
        if outcome.borrow().is_none()
            && let Some(lane) = self.lane.upgrade()
        {
            lane.hurry().await;
        }
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(true)) => Ok(()),
            _ => Err(StoreError::ElsewhereFailed),
        }
    }
}
