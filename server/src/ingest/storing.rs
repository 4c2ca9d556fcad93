//! The stage that stores: one batch is looked up, compressed and appended while the next is being cut.

use std::sync::Arc;

use database::{CacheId, ChunkPointer, NewNar};
use formats::NarHash;
use protocol::{Manifest, Timestamp};
use tokio::task::JoinHandle;

use super::IngestError;
use crate::{
    fetch::extents,
    pack::NarRecord,
    store::{ChunkStore, File, FileDigest, Lane, Place, Placed, RawChunk, StoreError, Unsealed},
};

/// How many bytes of chunks go together: enough to keep every processor busy, few enough for many uploads to fit in memory.
const BATCH_BYTES: usize = 2 << 20;
/// A listing is cut at this many bytes.
const LISTING_CHUNK_BYTES: usize = 256 << 10;

type Running = JoinHandle<(Result<Vec<Placed>, StoreError>, FileDigest)>;

/// The chunks of one upload, on their way into the store.
pub(super) struct Storing {
    store: Arc<ChunkStore>,
    lane: Arc<Lane>,
    batch: Vec<RawChunk>,
    batch_bytes: usize,
    running: Option<Running>,
    placed: Vec<Placed>,
    digest: Option<FileDigest>,
}

/// A NAR whose chunks all have their places; nothing of it is visible yet.
pub(super) struct StoredNar {
    pub(super) store: Arc<ChunkStore>,
    pub(super) lane: Arc<Lane>,
    pub(super) chunks: Vec<Placed>,
    pub(super) listing: Option<Vec<Placed>>,
    pub(super) digest: FileDigest,
    pub(super) nar_hash: NarHash,
    pub(super) nar_size: u64,
}

impl Storing {
    pub(super) fn new(store: Arc<ChunkStore>, cache: CacheId) -> Self {
        let lane = store.lane(cache);
        let digest = Some(FileDigest::default());
        Self { store, lane, batch: Vec::new(), batch_bytes: 0, running: None, placed: Vec::new(), digest }
    }

    /// Takes the next chunks, in order.
    pub(super) async fn push(&mut self, chunks: Vec<RawChunk>) -> Result<(), IngestError> {
        for chunk in chunks {
            self.batch_bytes += chunk.bytes.len();
            self.batch.push(chunk);
            if self.batch_bytes >= BATCH_BYTES {
                self.start().await?;
            }
        }
        Ok(())
    }

    /// Starts the batch when the one before has ended.
    async fn start(&mut self) -> Result<(), IngestError> {
        self.join().await?;
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let (store, lane) = (Arc::clone(&self.store), Arc::clone(&self.lane));
        let mut digest = self.digest.take().unwrap_or_default();
        // Not cut short when the client goes away: other uploads may be waiting for these very chunks.
        self.running = Some(tokio::spawn(async move {
            let placed = store.put(&lane, batch, &mut digest).await;
            (placed, digest)
        }));
        Ok(())
    }

    async fn join(&mut self) -> Result<(), IngestError> {
        if let Some(running) = self.running.take() {
            let (placed, digest) = running.await.map_err(|_| StoreError::Stopped)?;
            self.digest = Some(digest);
            self.placed.extend(placed?);
        }
        Ok(())
    }

    /// Stores what is left, and the listing behind it.
    pub(super) async fn finish(
        mut self,
        nar_hash: NarHash,
        nar_size: u64,
        listing: Option<String>,
    ) -> Result<StoredNar, IngestError> {
        self.start().await?;
        self.join().await?;
        let chunks = std::mem::take(&mut self.placed);
        let digest = self.digest.take().unwrap_or_default();
        let listing = match listing {
            Some(text) => Some(self.store.put(&self.lane, pieces(text.as_bytes()), &mut FileDigest::default()).await?),
            None => None,
        };
        Ok(StoredNar { store: self.store, lane: self.lane, chunks, listing, digest, nar_hash, nar_size })
    }
}

/// Cuts bytes that are no NAR.
pub(super) fn pieces(bytes: &[u8]) -> Vec<RawChunk> {
    bytes.chunks(LISTING_CHUNK_BYTES).map(|piece| RawChunk::new(bytes::Bytes::copy_from_slice(piece))).collect()
}

/// A manifest of places.
pub(super) fn manifest(placed: &[Placed]) -> Manifest {
    Manifest(placed.iter().map(Placed::entry).collect())
}

impl StoredNar {
    /// The share of the NAR that was there already, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share to show to people")]
    pub(super) fn frac_deduplicated(&self) -> f64 {
        let known =
            self.chunks.iter().filter(|c| !matches!(c.place, Place::New)).map(|c| u64::from(c.size)).sum::<u64>();
        if self.nar_size == 0 { 0.0 } else { known as f64 / self.nar_size as f64 }
    }

    /// Every chunk of the NAR, and then of its listing.
    pub(super) fn placed(&self) -> impl Iterator<Item = &Placed> {
        self.chunks.iter().chain(self.listing.iter().flatten())
    }

    /// What to commit: the frames that the index does not know yet, and the rows that refer to them.
    pub(super) async fn ready(self, now: Timestamp) -> Result<(Unsealed, NewNar, NarRecord), IngestError> {
        let all: Vec<Placed> = self.placed().cloned().collect();
        let unsealed = self.store.settle(&self.lane, &all, self.digest.is_whole()).await?;
        let store = Arc::clone(&self.store);
        let pointers = store.pointers(&all, unsealed.hashes()).await?;
        let (nar, record) = self.rows(&store, pointers, now).await?;
        Ok((unsealed, nar, record))
    }

    /// The rows of a NAR whose chunks, and those of its listing, are at `pointers`.
    pub(super) async fn rows(
        self,
        store: &ChunkStore,
        mut pointers: Vec<ChunkPointer>,
        now: Timestamp,
    ) -> Result<(NewNar, NarRecord), IngestError> {
        let listing = self.listing.as_ref().map(|_| pointers.split_off(self.chunks.len()));
        let File { hash: file_hash, size: file_size, checks } = match self.digest.finish() {
            Some(file) => file,
            None => store.read_digest(&pointers).await?,
        };
        let record = NarRecord {
            nar_hash: self.nar_hash,
            nar_size: self.nar_size,
            file_hash,
            file_size,
            manifest: manifest(&self.chunks),
            listing: self.listing.as_deref().map(manifest),
            checks: Some(checks),
            at: Some(now.0),
        };
        let (nar_hash, nar_size) = (self.nar_hash, self.nar_size);
        Ok((NewNar { nar_hash, nar_size, file_hash, file_size, manifest: pointers, listing, now }, record))
    }
}

impl ChunkStore {
    /// Makes sure that each of these chunks is in the index or in what this gives back; all of them in the index, unless the frames of the
    /// NARs were all at hand (`is_whole`): they have to be read back then.
    pub(super) async fn settle(
        &self,
        lane: &Arc<Lane>,
        placed: &[Placed],
        is_whole: bool,
    ) -> Result<Unsealed, StoreError> {
        let tickets: Vec<_> = placed
            .iter()
            .filter_map(|p| if let Place::InFlight(ticket) = &p.place { Some(ticket) } else { None })
            .collect();
        // What this very lane has is in what it gives.
        if is_whole && tickets.iter().all(|ticket| ticket.is_in(lane)) {
            return Ok(lane.take().await);
        }
        lane.seal().await?;
        for ticket in tickets {
            ticket.settled().await?;
        }
        Ok(Unsealed::default())
    }

    /// A file whose chunks are all in the index, from what is stored.
    async fn read_digest(&self, pointers: &[ChunkPointer]) -> Result<File, StoreError> {
        let known = |pointer: &ChunkPointer| match pointer {
            ChunkPointer::Known(id) => Some(*id),
            ChunkPointer::New(_) => None,
        };
        let runs = pointers.iter().filter_map(known).collect();
        let locations = self.locate(&runs).await?;
        let mut digest = FileDigest::default();
        for extent in extents(&locations) {
            for (frame, chunk) in self.read_frames(extent.chunks).await?.into_iter().zip(extent.chunks) {
                digest.feed(&frame.ok_or(StoreError::Damaged(chunk.id))?);
            }
        }
        digest.finish().ok_or(StoreError::ElsewhereFailed)
    }
}
