//! Proof, repair and insight: whether what is stored is what the index says, and how much of it there is.
//!
//! [`stats`] says how much there is. [`fsck`] looks at everything once, on demand; the [`scrub`] does so all the time, slowly, inside the server. Both look through
//! the same [`Inspector`], and both act as reading does: a damaged chunk is taken out of deduplication and a NAR that has one is
//! quarantined, so that pushing it again heals it. What a look finds counts only if a second look finds it too: a collection may
//! have taken the thing away meanwhile, and a read may go wrong on its way.

mod documents;
mod finding;
mod frames;
pub mod fsck;
mod id_set;
mod mark;
mod nar;
mod orphans;
mod pace;
mod pack;
mod paths;
pub mod repair;
mod report;
pub mod scrub;
pub mod stats;
mod turn;

use std::sync::{Arc, Mutex, PoisonError};

use database::{ChunkId, ChunkLocation, Database};
use storage::Storage;

use crate::journal::Journal;

use pace::Pace;

pub use finding::{Finding, Weight};
pub use id_set::IdSet;
pub use report::{Examined, Marked, Report};

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Every byte against the checksums.
    Checksums,
    /// Also every chunk against its name, and every NAR against its hash.
    Hashes,
}

/// Why looking could not go on.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The storage is away. What it has may be whole.
    #[error("the storage failed")]
    Storage(#[from] storage::Error),
    /// The index failed.
    #[error("the index failed")]
    Database(#[from] database::Error),
    /// The index has packs, and the storage has nothing at all: more likely the wrong folder than a loss.
    #[error("the storage has no pack at all, and the index has some: is this the right storage, and is it mounted?")]
    NothingThere,
    /// The process is ending.
    #[error("interrupted")]
    Stopped,
}

/// Looks at stored things, and tells what is wrong with them. It changes nothing.
#[derive(Debug)]
pub struct Inspector {
    journal: Arc<Journal>,
    database: Arc<dyn Database>,
    depth: Depth,
    pace: Pace,
    /// Chunks that were found damaged, whether the index has been told or not.
    damaged: Mutex<IdSet>,
}

impl Inspector {
    /// Looks at the storage of `journal` by what `database` knows.
    #[must_use]
    pub fn new(journal: Arc<Journal>, database: Arc<dyn Database>, depth: Depth) -> Self {
        Self { journal, database, depth, pace: Pace::unlimited(), damaged: Mutex::default() }
    }

    /// The same, reading no more than so many bytes a second on the average.
    #[must_use]
    pub fn at_most(mut self, bytes_per_second: u64) -> Self {
        self.pace = Pace::of(bytes_per_second);
        self
    }

    fn storage(&self) -> &dyn Storage {
        &**self.journal.storage()
    }

    /// Remembers chunks that were found damaged.
    fn note_damaged(&self, chunks: &[ChunkLocation]) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in chunks {
            damaged.insert(chunk.id.0);
        }
    }

    /// Whether a chunk was found damaged by this inspector.
    fn is_damaged(&self, chunk: ChunkId) -> bool {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).contains(chunk.0)
    }
}

/// Does work that takes CPU time where it holds nobody up.
async fn off_reactor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, InspectError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| InspectError::Stopped)
}
