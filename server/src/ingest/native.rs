//! Native push: a stream of paths and of those of their chunks that the cache has never seen.
//!
//! Chunks come compressed and are stored as they came, after each was decompressed and matched with its name. The chunks that were
//! not sent are read back, so that of every path the whole NAR has been parsed and hashed here, whoever had it before.
//!
//! The stream is worked on in batches of some 2 MiB that may hold part of a path or many. Each goes through the stages, one batch
//! behind the other, so that all of them are at work at once: [`reading`] messages, [`unpacking`] what was sent, [`taking`] it into
//! the lane and reading back the rest, [`verify`]ing the bytes of each path in order; then whatever paths are complete are
//! committed together ([`commit`]).

mod commit;
mod reading;
mod recent;
mod sequence;
mod taking;
mod unpacking;
mod verify;

use std::sync::Arc;

use database::{Cache, CacheId};
use formats::PathInfo;
use protocol::{
    ChunkHash, ErrorCode,
    attic::UploadPathNarInfo,
    push::{PathOutcome, PathResult, StreamError},
};
use tokio::sync::mpsc;

use super::{BodyReader, Ingest, IngestError};
use crate::store::Lane;
use reading::Reading;
use sequence::Step;
use taking::Taking;
use verify::Verifying;

pub(super) use recent::RECENT_BYTES;

/// Parses the metadata of a path; the error is what its pusher is told.
pub type ParseInfo = dyn Fn(&UploadPathNarInfo) -> Result<PathInfo, PathRefusal> + Send + Sync;

/// Why a path is not taken, while others of the stream may be.
#[derive(Debug, Clone)]
pub enum PathRefusal {
    /// A chunk that was not sent is not there.
    ChunksMissing,
    /// Anything else.
    Error {
        /// The stable code.
        code: ErrorCode,
        /// What happened.
        message: String,
    },
}

/// Who pushes, and what may count as there.
pub struct PushContext {
    /// The cache that is pushed to.
    pub cache: Cache,
    /// The caches whose chunks the pusher may know of, that one among them.
    pub readable: Vec<CacheId>,
    /// The subject of the token.
    pub pushed_by: Option<String>,
    /// Parses metadata.
    pub parse: Box<ParseInfo>,
}

/// What the stages of one stream share.
struct Shared<'a> {
    ingest: &'a Ingest,
    context: PushContext,
    lane: Arc<Lane>,
}

impl Ingest {
    /// Takes a stream of paths; tells `results` what became of each when that is settled.
    ///
    /// # Errors
    /// If the stream as a whole cannot be taken any further. What was told before stays as told; chunks that came stay for the next
    /// attempt.
    pub async fn push_stream(
        &self,
        context: PushContext,
        body: BodyReader,
        results: mpsc::Sender<PathResult>,
    ) -> Result<(), IngestError> {
        let _permit = self.permit().await?;
        let lane = self.store.lane(context.cache.id);
        let shared = Shared { ingest: self, context, lane };
        let outcome = shared.run(body, results).await;
        // Also if it failed: the next attempt does not have to send again what came.
        let sealed = shared.lane.seal().await;
        outcome.and(sealed.map_err(IngestError::from))
    }

    /// Waits for those of these chunks that are on their way into `cache`; tells whether there were any.
    pub async fn hurried(&self, cache: &Cache, hashes: &[ChunkHash]) -> bool {
        !hashes.is_empty() && self.store.hurried(cache.id, hashes).await
    }
}

impl Shared<'_> {
    async fn run(&self, body: BodyReader, results: mpsc::Sender<PathResult>) -> Result<(), IngestError> {
        // One batch waits between each two stages. A stage that ends takes the others with it: those before have nobody to hand on
        // to, those behind get no more, and end what they have.
        let (batches, received) = mpsc::channel(1);
        let (unpacked, to_take) = mpsc::channel(1);
        let (taken, to_verify) = mpsc::channel(1);
        let decompressor = Arc::clone(self.ingest.store.decompressor());
        let (read, unpacked, taken, verified) = tokio::join!(
            Reading::new(batches).run(body),
            unpacking::run(decompressor, received, unpacked),
            Taking::new(self).run(to_take, taken),
            Verifying::new(self, results).run(to_verify),
        );
        // The one in the way is the reason.
        verified.and(taken).and(unpacked).and(read)
    }
}

fn refused(code: ErrorCode, message: String) -> PathOutcome {
    PathOutcome::Refused { error: code.name().to_owned(), message, retryable: code.is_retryable() }
}

impl From<PathRefusal> for PathOutcome {
    fn from(refusal: PathRefusal) -> Self {
        match refusal {
            PathRefusal::ChunksMissing => Self::ChunksMissing,
            PathRefusal::Error { code, message } => refused(code, message),
        }
    }
}

impl From<StreamError> for IngestError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Cut => Self::Body(super::BodyError::Cut("the stream ended in a message".to_owned())),
            error => Self::Stream(error.to_string()),
        }
    }
}
