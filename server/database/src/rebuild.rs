//! What making an index anew from the storage asks, beyond what serving does.

use async_trait::async_trait;
use formats::{NarHash, StorePathHash};
use protocol::Timestamp;

use crate::{CacheId, ChunkId, DocumentKind, NewChunk, NewNar, PackName, Result};

/// Something that a record says is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// A path.
    Path {
        /// Its cache.
        cache: CacheId,
        /// Its hash part.
        hash: StorePathHash,
    },
    /// A document.
    Document {
        /// Its cache.
        cache: CacheId,
        /// Its kind.
        kind: DocumentKind,
        /// Its name.
        name: String,
    },
    /// A NAR; one that a path has stays.
    Nar(NarHash),
}

/// Making an index anew. Nobody else uses the index meanwhile.
#[async_trait]
pub trait Rebuilding {
    /// Gives a frame a row beside the one that its chunk has, out of deduplication; `None` if its pack has no row.
    ///
    /// A chunk may have been stored twice, as different bytes, and the file hash of a NAR is about certain ones. A frame that has such
    /// a row already keeps it.
    async fn add_frame(&self, pack: PackName, chunk: &NewChunk, now: Timestamp) -> Result<Option<ChunkId>>;

    /// Makes a NAR known by rows of frames that may be out of deduplication; one that is known stays as it is.
    ///
    /// # Errors
    /// If a chunk of the NAR is not given by its row.
    async fn restore_nar(&self, nar: &NewNar) -> Result<()>;

    /// Removes rows; what is not there is gone already.
    async fn forget(&self, gone: &[Gone]) -> Result<()>;
}
