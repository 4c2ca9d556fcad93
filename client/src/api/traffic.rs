//! How much was asked and sent.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What went to the server: requests of all kinds, and the bytes of their bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// How many requests, those that were tried again included.
    pub requests: u64,
    /// How many bytes their bodies had.
    pub sent_bytes: u64,
}

/// Counts traffic from several threads.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Counter {
    pub(super) fn request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.0.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn total(&self) -> Traffic {
        Traffic {
            requests: self.0.requests.load(Ordering::Relaxed),
            sent_bytes: self.0.sent_bytes.load(Ordering::Relaxed),
        }
    }
}
