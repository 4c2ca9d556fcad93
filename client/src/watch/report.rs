//! What a watcher says while it runs, apart from the paths that arrive.

use std::{io, path::Path, time::Duration};

use formats::StorePath;
use protocol::Timestamp;

use super::{QueueError, Stuck, Trouble};
use crate::nix::StoreError;

/// Hears of what happens to a watcher. It must not block.
pub trait WatchReporter: Send + Sync {
    /// Takes note of `event`.
    fn report(&self, event: WatchEvent<'_>);
}

/// One piece of news.
#[derive(Debug)]
pub enum WatchEvent<'a> {
    /// Whatever is registered from now on is pushed.
    Watching {
        /// The folder that is watched.
        folder: &'a Path,
        /// From when on; before now if somebody asked for it, or if a watcher was killed then.
        since: Timestamp,
        /// How many paths wait already.
        queued: usize,
    },
    /// The journal had lines that mean nothing.
    JournalDamaged(usize),
    /// The kernel tells nothing, so paths are found only by looking.
    NoEvents(&'a notify::Error),
    /// Some of what the kernel told was lost, so the store is looked through.
    EventsLost,
    /// The store's folder cannot be listed; that is tried again.
    FolderTrouble(&'a io::Error),
    /// Nix cannot be asked; that is tried again.
    StoreTrouble(&'a StoreError),
    /// The queue cannot be written; that is tried again.
    QueueTrouble(&'a QueueError),
    /// A path is not valid any more, so it is not pushed.
    Dropped(&'a StorePath),
    /// Nothing can be sent for now.
    Unavailable {
        /// Why.
        trouble: &'a Trouble,
        /// How many paths wait.
        queued: usize,
        /// How long until the next attempt.
        wait: Duration,
    },
    /// A path cannot be sent for now.
    Stuck {
        /// The path.
        path: &'a StorePath,
        /// Why.
        why: &'a Stuck,
        /// How long until the next attempt.
        wait: Duration,
    },
    /// The watcher was told to stop, and sends what it has.
    Draining {
        /// How many paths wait.
        queued: usize,
        /// How long that may take.
        timeout: Duration,
    },
}
