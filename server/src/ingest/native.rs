//! Native push: a stream of paths and of those of their chunks that the cache has never seen.
//!
//! Chunks come compressed and are stored as they came, after each was decompressed and matched with its name. The chunks that were
//! not sent are read back, so that of every path the whole NAR has been parsed and hashed here, whoever had it before. The stream is
//! worked on in batches of some 2 MiB that may hold part of a path or many: look up, decompress, verify, store; then whatever paths
//! are complete are committed together.

mod batch;
mod sequence;
mod verify;

use std::{collections::HashSet, sync::Arc};

use database::{Cache, CacheId, PathOutcome as Committed};
use formats::PathInfo;
use protocol::{
    ChunkHash, ErrorCode,
    attic::UploadPathNarInfo,
    push::{PathOutcome, PathResult, StreamError, StreamReader},
};
use tokio::{io::AsyncReadExt, sync::mpsc};

use super::{BodyReader, Ingest, IngestError, body, path::NewPathInfo, storing::StoredNar};
use crate::store::{Lane, Placed, Records, StoreError};
use sequence::{Sequencer, Step};
use verify::Verifying;

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;
/// A batch ends when its chunks have this many bytes …
const BATCH_BYTES: u64 = 2 << 20;
/// … or when it has this many steps.
const BATCH_STEPS: usize = 2048;
/// Complete paths are committed when there are this many …
const COMMIT_PATHS: usize = 1000;
/// … or when their NARs have this many bytes.
const COMMIT_BYTES: u64 = 16 << 20;

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

/// One stream being taken in.
struct Native<'a> {
    ingest: &'a Ingest,
    context: PushContext,
    results: mpsc::Sender<PathResult>,
    lane: Arc<Lane>,
    /// Chunks that this stream has brought so far.
    brought: HashSet<ChunkHash>,
    /// The path that the steps are in.
    current: Option<Verifying>,
    /// Paths that are complete, and not committed yet.
    complete: Vec<Complete>,
    complete_bytes: u64,
}

/// A path whose NAR was verified.
struct Complete {
    store_path: String,
    new: NewPathInfo,
    nar: StoredNar,
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
        let native = Native {
            ingest: self,
            context,
            results,
            lane: Arc::clone(&lane),
            brought: HashSet::new(),
            current: None,
            complete: Vec::new(),
            complete_bytes: 0,
        };
        let outcome = native.run(body).await;
        if outcome.is_err() {
            // The next attempt does not have to send again what came.
            lane.seal().await?;
        }
        outcome
    }
}

impl Native<'_> {
    async fn run(mut self, body: BodyReader) -> Result<(), IngestError> {
        let mut reader = body.into_reader();
        let mut stream = StreamReader::default();
        let mut sequencer = Sequencer::default();
        let mut buffer = vec![0; READ_BYTES];
        let mut steps = Vec::new();
        let mut bytes = 0;
        loop {
            let read = reader.read(&mut buffer).await.map_err(|error| match body::inner(&error) {
                Some(error) => IngestError::Body(error),
                None => IngestError::Body(super::BodyError::Cut(error.to_string())),
            })?;
            if read == 0 {
                break;
            }
            stream.push(&buffer[..read]);
            while let Some(message) = stream.next_message()? {
                for step in sequencer.next(message)? {
                    bytes += step.size();
                    steps.push(step);
                    if bytes >= BATCH_BYTES || steps.len() >= BATCH_STEPS {
                        self.batch(std::mem::take(&mut steps)).await?;
                        bytes = 0;
                    }
                }
            }
        }
        stream.finish()?;
        sequencer.finish()?;
        self.batch(steps).await?;
        self.commit().await?;
        self.lane.seal().await?;
        Ok(())
    }

    async fn batch(&mut self, steps: Vec<Step>) -> Result<(), IngestError> {
        let chunks = self.chunks(&steps).await?;
        self.verify(steps, chunks).await?;
        if self.complete.len() >= COMMIT_PATHS || self.complete_bytes >= COMMIT_BYTES {
            self.commit().await?;
        }
        Ok(())
    }

    /// Makes the complete paths visible, all in one transaction, and tells what became of them.
    async fn commit(&mut self) -> Result<(), IngestError> {
        self.complete_bytes = 0;
        let complete = std::mem::take(&mut self.complete);
        if complete.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = complete.iter().map(|path| path.store_path.clone()).collect();
        let outcomes: Vec<PathOutcome> = match self.commit_all(complete).await {
            Ok(outcomes) => outcomes,
            Err(error @ IngestError::Store(StoreError::Stopped | StoreError::Storage(_) | StoreError::Database(_))) => {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(%error, paths = names.len(), "a batch of pushed paths was not committed");
                let message = "The push of this path has to be repeated.".to_owned();
                let refused = refused(ErrorCode::Unavailable, message);
                vec![refused; names.len()]
            }
        };
        for (store_path, outcome) in names.into_iter().zip(outcomes) {
            self.tell(store_path, outcome).await;
        }
        Ok(())
    }

    async fn commit_all(&self, complete: Vec<Complete>) -> Result<Vec<PathOutcome>, IngestError> {
        let store = &self.ingest.store;
        let placed: Vec<Placed> = complete.iter().flat_map(|path| path.nar.placed()).cloned().collect();
        let frames = store.settle(&self.lane, &placed).await?;
        let now = self.ingest.clock.now();
        let mut records = Records::default();
        let mut sizes = Vec::with_capacity(complete.len());
        let mut paths = Vec::with_capacity(complete.len());
        for Complete { new, nar, .. } in complete {
            let (nar, record) = nar.rows(store, &frames, now).await?;
            sizes.push(nar.file_size);
            paths.push((new.info.path.clone(), nar.nar_size));
            records.nars.push((nar, record));
            records.paths.push(self.ingest.path_record(&self.context.cache, new));
        }
        let outcomes = store.commit(frames, records).await?;
        for (outcome, (path, nar_size)) in outcomes.iter().zip(&paths) {
            Ingest::note(&self.context.cache, path, *nar_size, *outcome);
        }
        Ok(outcomes
            .into_iter()
            .zip(sizes)
            .map(|(outcome, file_size)| match outcome {
                Committed::Created | Committed::Merged => PathOutcome::Stored { file_size },
                Committed::KeptOther => PathOutcome::KeptOther,
            })
            .collect())
    }

    /// Tells what became of a path. Whoever asked may have gone, which is no reason to leave off.
    async fn tell(&self, store_path: String, outcome: PathOutcome) {
        let _ = self.results.send(PathResult { store_path, outcome }).await;
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
