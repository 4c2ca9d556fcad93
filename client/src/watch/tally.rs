//! Counts what was sent, and keeps from the person what would only be noise.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    push::Outcome,
    report::{Event, Reporter},
};

/// Passes on each path that arrived. What fails is tried again and told once, by the watcher, not for each path and attempt.
pub struct Tally {
    inner: Arc<dyn Reporter>,
    paths: AtomicU64,
    bytes: AtomicU64,
}

/// How much was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many paths.
    pub paths: u64,
    /// How large their NARs are together, in bytes.
    pub bytes: u64,
}

impl Tally {
    /// Counts, and passes on to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Reporter>) -> Self {
        Self { inner, paths: AtomicU64::default(), bytes: AtomicU64::default() }
    }

    /// What was sent so far.
    #[must_use]
    pub fn amount(&self) -> Amount {
        Amount { paths: self.paths.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

impl Reporter for Tally {
    fn report(&self, event: Event<'_>) {
        match &event {
            Event::Finished { outcome: Outcome::Uploaded(_), nar_size, .. } => {
                self.paths.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(*nar_size, Ordering::Relaxed);
                self.inner.report(event);
            }
            Event::EndpointIgnored(_) | Event::OtherVersion { .. } => self.inner.report(event),
            Event::Began(_)
            | Event::Started { .. }
            | Event::Sent { .. }
            | Event::Waiting { .. }
            | Event::Finished { .. } => {}
        }
    }
}
