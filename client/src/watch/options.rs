//! What a watch is to do.

use std::time::Duration;

use protocol::Timestamp;

use super::{Batching, PathFilter};

/// What can be chosen about a watch.
#[derive(Debug, Clone, Copy)]
pub struct WatchOptions {
    /// What is pushed.
    pub filter: PathFilter,
    /// From when on.
    pub since: Since,
    /// When to push what was found.
    pub batching: Batching,
    /// How often to look through the store, in case the kernel did not tell of something.
    pub sweep: Duration,
    /// How long draining may take.
    pub drain_timeout: Duration,
}

/// From when on paths are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From where a watcher that was killed left off, or else from now.
    LeftOff,
    /// From then, whoever watched meanwhile.
    Time(Timestamp),
}

/// What a watcher has to do; it only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Look for paths and send them.
    Watching,
    /// Send what there is, and end.
    Draining,
    /// End at once.
    Stopping,
}
