//! How long what came may wait to be written together with more.

use std::time::Duration;

use storage::Storage;

/// What a storage is worth waiting for.
///
/// In a folder a pack costs an fsync, and little is gained by waiting. In a bucket each request costs money, and a push that comes slowly
/// would make many small objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Frames wait in a lane for no longer, so that a crash never costs more than what came in that time.
    pub(crate) frames: Duration,
    /// Whoever pushed a path is answered after this time …
    pub(crate) paths: Duration,
    /// … or as soon as so many bytes of new frames wait with it; zero is never before that time.
    pub(crate) enough: u64,
}

impl Pace {
    pub(super) fn of(storage: &dyn Storage) -> Self {
        let (frames, paths) = match storage.write_size() {
            0 => (3, 1),
            // What is complete is written down shortly before its frames would be without it.
            _ => (10, 8),
        };
        let (frames, paths) = (Duration::from_secs(frames), Duration::from_secs(paths));
        Self { frames, paths, enough: storage.write_size() }
    }
}
