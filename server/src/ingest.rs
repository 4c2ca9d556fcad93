//! The write path: one straight line of data for every protocol.
//!
//! ```text
//! body ─► decode ─► parse as NAR, hash ─► cut ─► name ─► look up ─► compress ─► pack ─► commit
//!         (none, xz, zstd, bzip2, gzip, br)         batches of some 2 MiB        group commit
//! ```
//!
//! Nothing is visible, and nothing is signed, before the whole body has been parsed as a NAR and has the hash and size that were
//! announced. An upload that fails or is given up leaves nothing that anybody could see.

mod body;
mod cutting;
mod decode;
mod document;
mod heal;
mod import;
mod native;
mod path;
mod storing;
mod upload;

use std::{sync::Arc, time::Duration};

use database::{Cache, Database, PathOutcome};
use formats::{NarHash, StorePath};
use memory::InUse;
use protocol::{ChunkSizes, Clock, ErrorCode};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

pub use body::{BodyError, BodyReader, WireDigest};
pub use import::{Imported, ImportedFile, decoded};
pub use native::{ParseInfo, PathRefusal, PushContext};
pub use path::{PushOutcome, Pushed};
pub use upload::PutNar;

use crate::{
    metrics as names,
    store::{ChunkStore, Decompressor, StoreError},
};
use decode::decode;

/// The limits on what comes in.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest NAR, uncompressed, in bytes.
    pub max_nar_size: u64,
    /// The largest body, as sent, in bytes.
    pub max_upload_size: u64,
    /// The largest log, listing or other document, uncompressed, in bytes.
    pub max_document_size: u64,
    /// How many uploads are worked on at a time; further ones wait.
    pub max_concurrent_uploads: usize,
    /// How long a body may send nothing.
    pub body_idle_timeout: Duration,
    /// How many times its size a compressed body may decode to.
    pub max_expansion: u64,
}

/// Why an upload was refused. Nothing of it is visible then.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body did not arrive.
    #[error(transparent)]
    Body(BodyError),
    /// The body cannot be decoded.
    #[error("the body cannot be decoded: {0}")]
    Compression(String),
    /// The body is not a NAR.
    #[error("the body is not a NAR: {0}")]
    Nar(#[from] formats::nar::Error),
    /// The stream of a native push makes no sense.
    #[error("{0}")]
    Stream(String),
    /// A chunk that was sent is not what its name says, or not one zstd frame.
    #[error("the bytes that were sent for chunk {0:?} are not that chunk, as one zstd frame")]
    Chunk(protocol::ChunkHash),
    /// The NAR is larger than this server takes.
    #[error("the NAR is larger than {0} bytes, the most that this server takes")]
    TooLarge(u64),
    /// The body decodes to far more than any NAR does.
    #[error("the body decodes to more than {0} times its size")]
    Bomb(u64),
    /// The NAR has another hash than was announced.
    #[error("the NAR has the hash {found}, announced was {expected}")]
    NarHash {
        /// As announced.
        expected: NarHash,
        /// As found.
        found: NarHash,
    },
    /// The NAR has another size than was announced.
    #[error("the NAR has {found} bytes, announced were {expected}")]
    NarSize {
        /// As announced.
        expected: u64,
        /// As found, or more.
        found: u64,
    },
    /// The file has another hash or size than its name or narinfo says.
    #[error("the file does not have the {what} that was announced")]
    File {
        /// Hash or size.
        what: &'static str,
    },
    /// The narinfo names a NAR that was not put into this cache.
    #[error("the NAR {0:?} has not been uploaded to this cache")]
    NarNotUploaded(String),
    /// The bytes could not be stored or committed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<database::Error> for IngestError {
    fn from(error: database::Error) -> Self {
        Self::Store(error.into())
    }
}

impl IngestError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Body(BodyError::Idle(_)) => ErrorCode::BodyTimeout,
            Self::Body(BodyError::TooLarge(_)) | Self::TooLarge(_) | Self::Bomb(_) => ErrorCode::TooLarge,
            Self::Body(BodyError::Cut(_)) => ErrorCode::IncompleteBody,
            Self::Compression(_) => ErrorCode::InvalidCompression,
            Self::Stream(_) => ErrorCode::RequestError,
            Self::Chunk(_) => ErrorCode::InvalidChunk,
            Self::Nar(_) => ErrorCode::InvalidNar,
            Self::NarHash { .. } => ErrorCode::NarHashMismatch,
            Self::NarSize { .. } => ErrorCode::NarSizeMismatch,
            Self::File { .. } => ErrorCode::FileHashMismatch,
            Self::NarNotUploaded(_) => ErrorCode::NarNotUploaded,
            Self::Store(error) if error.is_cache_gone() => ErrorCode::NoSuchCache,
            Self::Store(_) => ErrorCode::Unavailable,
        }
    }
}

/// Takes uploads in.
#[derive(Debug)]
pub struct Ingest {
    store: Arc<ChunkStore>,
    database: Arc<dyn Database>,
    clock: Arc<dyn Clock>,
    sizes: ChunkSizes,
    limits: Limits,
    /// Whether a NAR that is there already must still be sent, to prove that the sender has it.
    proof_of_possession: bool,
    permits: Arc<Semaphore>,
    /// Room for the frames that streams of native push keep at hand, in bytes.
    recent: Arc<Semaphore>,
    /// One upload of a NAR at a time: the second finds it there.
    nars: InUse<NarHash, Mutex<()>>,
}

impl Ingest {
    /// The write path into `store`.
    #[must_use]
    pub fn new(
        store: Arc<ChunkStore>,
        database: Arc<dyn Database>,
        clock: Arc<dyn Clock>,
        sizes: ChunkSizes,
        limits: Limits,
        proof_of_possession: bool,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(limits.max_concurrent_uploads.max(1)));
        let recent = Arc::new(Semaphore::new(native::RECENT_BYTES));
        Self { store, database, clock, sizes, limits, proof_of_possession, permits, recent, nars: InUse::default() }
    }

    /// What undoes compression that was done elsewhere.
    #[must_use]
    pub fn decompressor(&self) -> &Arc<Decompressor> {
        self.store.decompressor()
    }

    /// The limits on what comes in.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a path that was pushed. Two builders may have made different NARs of it, which somebody should know.
    fn note(cache: &Cache, path: &StorePath, nar_size: u64, outcome: PathOutcome) {
        metrics::counter!(names::PUSHED_NAR_BYTES).increment(nar_size);
        if outcome == PathOutcome::KeptOther {
            metrics::counter!(names::DIVERGENT_PUSHES, "cache" => cache.name.to_string()).increment(1);
            tracing::warn!(cache.name = %cache.name, %path, "pushed with another NAR than the cache has; the first one stays");
        }
    }

    /// Waits for its turn: what is worked on at a time bounds the memory.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, IngestError> {
        Arc::clone(&self.permits).acquire_owned().await.map_err(|_| IngestError::Store(StoreError::Stopped))
    }

    /// Waits until nobody else uploads the same NAR.
    async fn alone_with(&self, nar: NarHash) -> OwnedMutexGuard<()> {
        self.nars.get(&nar, Default::default).lock_owned().await
    }
}
