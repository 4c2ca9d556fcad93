//! The chunk store: chunks in, packs out, and the one door through which anything becomes visible.
//!
//! An upload owns a [`Lane`]. Its chunks are looked up, compressed and appended in batches ([`ChunkStore::put`]); new ones wait in the
//! lane until it is sealed into a pack. Whatever becomes visible goes through [`ChunkStore::commit`], where small concurrent uploads
//! share one pack, one fsync and one transaction. The order is always: bytes durable, then rows, then the answer.

mod batch;
mod committer;
mod decompressor;
mod digest;
mod divergence;
mod frame;
mod lane;
mod open_pack;
mod pace;
mod ticket;

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use database::{CacheId, ChunkLocation, ChunkPointer, CommitError, Database, PathOutcome};
use protocol::ChunkHash;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

pub use batch::{Place, Placed, RawChunk};
pub use committer::Records;
pub use decompressor::Decompressor;
pub use digest::{File, FileDigest};
pub use frame::{Compressor, Frame, FrameError, decompress, decompress_frame};
pub use lane::Lane;
pub use open_pack::{OpenPack, Unsealed};

use crate::{fetch::Frames, journal::Journal};
use committer::CommitRequest;
use pace::Pace;
use ticket::InFlight;

/// Why chunks could not be stored or made visible.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The storage failed.
    #[error("the storage failed")]
    Storage(#[source] Arc<storage::Error>),
    /// The index failed.
    #[error("the index failed")]
    Database(#[source] Arc<database::Error>),
    /// The commit was refused and changed nothing.
    #[error("the commit was refused")]
    Commit(#[source] Arc<CommitError>),
    /// Another upload had the same chunk under way and failed; the push may be repeated.
    #[error("another upload of the same chunk failed")]
    ElsewhereFailed,
    /// A stored frame does not have its checksum any more.
    #[error("chunk {0:?} is damaged")]
    Damaged(database::ChunkId),
    /// Compression failed.
    #[error("compression failed")]
    Compression(#[source] Arc<std::io::Error>),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Stopped,
}

impl StoreError {
    /// Whether the cache was deleted while something was pushed to it.
    #[must_use]
    pub fn is_cache_gone(&self) -> bool {
        matches!(self, Self::Commit(error) if matches!(**error, CommitError::CacheGone))
    }
}

impl From<storage::Error> for StoreError {
    fn from(error: storage::Error) -> Self {
        Self::Storage(Arc::new(error))
    }
}

impl From<database::Error> for StoreError {
    fn from(error: database::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<CommitError> for StoreError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Database(error) => error.into(),
            error => Self::Commit(Arc::new(error)),
        }
    }
}

/// Stores chunks in packs and makes them known to the index.
#[derive(Debug)]
pub struct ChunkStore {
    frames: Frames,
    journal: Arc<Journal>,
    database: Arc<dyn Database>,
    compressor: Arc<Compressor>,
    decompressor: Arc<Decompressor>,
    in_flight: Arc<InFlight>,
    pub(crate) pace: Pace,
    commits: mpsc::Sender<CommitRequest>,
    /// One permit for each processor: compressing more at a time takes memory and saves no time.
    processors: Semaphore,
}

impl ChunkStore {
    /// A store over the storage of `journal`, known to `database`, that compresses at zstd's `level`. Its committer ends when the store is
    /// dropped; `tracker` waits for that.
    #[must_use]
    pub fn new(journal: Arc<Journal>, database: Arc<dyn Database>, level: i32, tracker: &TaskTracker) -> Arc<Self> {
        let frames = Frames::new(Arc::clone(journal.storage()));
        Self::reading_by(frames, journal, database, level, tracker)
    }

    /// The same; stored frames are read by way of `frames`.
    #[must_use]
    pub fn reading_by(
        frames: Frames,
        journal: Arc<Journal>,
        database: Arc<dyn Database>,
        level: i32,
        tracker: &TaskTracker,
    ) -> Arc<Self> {
        let commits = committer::spawn(Arc::clone(&journal), Arc::clone(&database), tracker);
        let compressor = Arc::new(Compressor::new(level));
        let pace = Pace::of(&**journal.storage());
        Arc::new(Self {
            frames,
            journal,
            database,
            compressor,
            decompressor: Arc::default(),
            in_flight: Arc::default(),
            pace,
            commits,
            processors: Semaphore::new(processors()),
        })
    }

    /// A lane for one upload to `cache`.
    #[must_use]
    pub fn lane(self: &Arc<Self>, cache: CacheId) -> Arc<Lane> {
        Lane::new(Arc::clone(self), cache)
    }

    /// What undoes compression that was done elsewhere.
    #[must_use]
    pub fn decompressor(&self) -> &Arc<Decompressor> {
        &self.decompressor
    }

    /// Waits until none of these chunks is under way to the index any more, whether it arrived there or not.
    pub(crate) async fn settled(&self, hashes: &[ChunkHash]) {
        for ticket in self.in_flight.tickets(hashes) {
            ticket.ended().await;
        }
    }

    /// Waits for those of these chunks that are being pushed to `cache` at this moment, hurrying whoever has them: an attempt that
    /// was cut off may still be putting away what the next one asks about. Tells whether there were any.
    pub(crate) async fn hurried(&self, cache: CacheId, hashes: &[ChunkHash]) -> bool {
        let tickets: Vec<_> =
            self.in_flight.tickets(hashes).into_iter().filter(|ticket| ticket.is_for(cache)).collect();
        for ticket in &tickets {
            // If it fails, the chunk is missing.
            let _ = ticket.settled().await;
        }
        !tickets.is_empty()
    }

    /// Makes `records` visible, together with the frames that go with them, and says what became of each path. Frames in memory share a
    /// pack with what others commit; a pack of a lane's own takes the records at its end.
    ///
    /// # Errors
    /// If the pack could not be made durable or the transaction was refused: then nothing is visible.
    pub async fn commit(&self, unsealed: Unsealed, records: Records) -> Result<Vec<PathOutcome>, StoreError> {
        let frames = match unsealed {
            Unsealed::Frames(frames) => frames,
            Unsealed::Pack(open) => return open.commit(self, records).await,
        };
        let (reply, answer) = tokio::sync::oneshot::channel();
        let request = CommitRequest { frames, records, reply };
        self.commits.send(request).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }

    /// Reads frames, checks each against its checksum, and gives them in order; a frame that is damaged is `None`.
    ///
    /// # Errors
    /// If the storage is away. A pack that is gone or cut off is damage, not an error.
    pub async fn read_frames(&self, chunks: &[ChunkLocation]) -> Result<Vec<Option<bytes::Bytes>>, StoreError> {
        let mut frames = self.frames.read(chunks).await?;
        for (chunk, frame) in chunks.iter().zip(&mut frames) {
            if frame.is_none() {
                *frame = self.read_moved(chunk).await?;
            }
        }
        Ok(frames)
    }

    /// The frame of a chunk whose pack is not there, or too short: collection may have moved it since it was looked up.
    async fn read_moved(&self, before: &ChunkLocation) -> Result<Option<bytes::Bytes>, StoreError> {
        let now = self.database.locate_chunks(&[before.id].into_iter().collect()).await.ok();
        let Some(now) = now.and_then(|found| found.first().copied()).filter(|now| now != before) else {
            return Ok(None);
        };
        let range = now.offset..now.offset + u64::from(now.stored_size);
        match self.journal.storage().read(&crate::pack::key(now.pack), range).await {
            Ok(frame) => Ok((crc32c::crc32c(&frame) == now.check).then_some(frame)),
            Err(error) if crate::fetch::is_damage(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where chunks are.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn locate(&self, runs: &database::ChunkRuns) -> Result<Vec<ChunkLocation>, StoreError> {
        Ok(self.database.locate_chunks(runs).await?)
    }

    /// Takes damaged frames out of deduplication, and has the storage remember it.
    ///
    /// # Errors
    /// If the index fails.
    pub(crate) async fn mark_damaged(&self, frames: &[ChunkLocation]) -> Result<(), StoreError> {
        if frames.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = frames.iter().map(|frame| frame.id).collect();
        self.database.mark_damaged(&ids, self.journal.clock().now()).await?;
        self.journal.damaged(frames).await;
        Ok(())
    }

    /// The chunks behind these places, all of them settled: known by row, or by name if they are in `unsealed`.
    pub(crate) async fn pointers(
        &self,
        placed: &[Placed],
        unsealed: HashSet<ChunkHash>,
    ) -> Result<Vec<ChunkPointer>, StoreError> {
        let wanted: Vec<ChunkHash> =
            placed.iter().filter(|p| p.known().is_none() && !unsealed.contains(&p.hash)).map(|p| p.hash).collect();
        let mut found = Vec::with_capacity(wanted.len());
        for batch in wanted.chunks(1000) {
            found.extend(self.database.find_chunks(batch).await?);
        }
        let mut found = found.into_iter();
        placed
            .iter()
            .map(|p| match p.known() {
                Some(id) => Ok(ChunkPointer::Known(id)),
                None if unsealed.contains(&p.hash) => Ok(ChunkPointer::New(p.hash)),
                None => found.next().flatten().map(|c| ChunkPointer::Known(c.id)).ok_or(StoreError::ElsewhereFailed),
            })
            .collect()
    }
}

/// How many processors there are. Asked once: on Linux the answer is read from the files of the control group.
pub(crate) fn processors() -> usize {
    static PROCESSORS: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    *PROCESSORS
}
