//! Watching the local store, and pushing each path as soon as it is built.
//!
//! Nothing that is built while a watcher runs, or while one that was killed is not yet started again, may be lost. So there
//! are two ways to learn of a path and one to remember it:
//!
//! - the kernel tells of changes in the store's folder ([`events`]), which is quick, and may fail;
//! - the folder is looked through again and again, and Nix is asked which of what is new in it is valid ([`listing`]), which
//!   misses nothing;
//! - what is found goes to a journal on disk ([`Queue`]) before anything else is done with it, and leaves it only once it is in
//!   the cache or not valid any more.
//!
//! Whatever is pushed twice by all this is not sent twice: the cache is asked first.

mod debounce;
mod events;
mod filter;
mod inbox;
mod journal;
mod listing;
mod mark;
mod options;
mod pace;
mod queue;
mod report;
mod sending;
mod tally;
mod watcher;

pub use debounce::Batching;
pub use filter::PathFilter;
pub use inbox::deliver;
pub use options::{Phase, Since, WatchOptions};
pub use queue::{Queue, QueueError, QueueState};
pub use report::{WatchEvent, WatchReporter};
pub use sending::{Connect, Stuck, Trouble};
pub use tally::{Amount, Tally};
pub use watcher::{Summary, Watch, WatchError};

/// Runs what blocks where blocking is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
