//! One batch of chunks, from look-up to lane.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use database::{ChunkId, ChunkLocation};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{ChunkHash, ManifestEntry};

use super::{
    ChunkStore, FileDigest, Frame, Lane, StoreError,
    ticket::{Reservation, Reserved, Ticket},
};

/// A chunk as it came.
#[derive(Debug, Clone)]
pub struct RawChunk {
    /// Its name.
    pub hash: ChunkHash,
    /// Its bytes.
    pub bytes: Bytes,
    /// The same as one zstd frame, if whoever sent it has compressed it.
    pub frame: Option<Bytes>,
}

impl RawChunk {
    /// A chunk that was cut here.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { hash: ChunkHash::of(&bytes), bytes, frame: None }
    }
}

/// A chunk that has its place, or is on the way to it.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its name.
    pub hash: ChunkHash,
    /// Its length in bytes.
    pub size: u32,
    /// Where it is.
    pub place: Place,
}

/// Where a chunk is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In the index.
    Known(ChunkId),
    /// In this upload's lane.
    New,
    /// In a lane, put there by somebody else or by this upload before.
    InFlight(Arc<Ticket>),
}

impl Placed {
    /// The row, if the chunk has one.
    #[must_use]
    pub fn known(&self) -> Option<ChunkId> {
        if let Place::Known(id) = self.place { Some(id) } else { None }
    }

    /// The chunk as a manifest has it.
    #[must_use]
    pub fn entry(&self) -> ManifestEntry {
        ManifestEntry { hash: self.hash, size: self.size }
    }
}

/// A chunk of a batch once it is known what to do with it.
enum Decision {
    Known(ChunkLocation, Bytes),
    New(Reservation),
    InFlight(Arc<Ticket>),
}

impl ChunkStore {
    /// Finds or stores the chunks of a batch, in order; feeds their frames to `digest`.
    ///
    /// # Errors
    /// As [`ChunkStore::place`].
    pub async fn put(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        chunks: Vec<RawChunk>,
        digest: &mut FileDigest,
    ) -> Result<Vec<Placed>, StoreError> {
        let placed = self.place(lane, chunks).await?;
        Ok(placed
            .into_iter()
            .inspect(|(_, frame)| digest.feed_or_skip(frame.as_ref()))
            .map(|(placed, _)| placed)
            .collect())
    }

    /// Finds or stores the chunks of a batch, in order; gives the frame of each, unless somebody else is storing it.
    ///
    /// A chunk that is stored already counts as there only if its frame is read back whole: what is damaged is stored anew.
    ///
    /// # Errors
    /// If the storage or the index fails. Chunks that were new are forgotten then.
    pub async fn place(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        chunks: Vec<RawChunk>,
    ) -> Result<Vec<(Placed, Option<Bytes>)>, StoreError> {
        let decisions = self.decide(lane, &chunks).await?;
        let mut frames = self.compress(&chunks, &decisions).await?.into_iter();
        let mut placed = Vec::with_capacity(chunks.len());
        let mut fresh = Vec::new();
        for (chunk, decision) in chunks.into_iter().zip(decisions) {
            let size = u32::try_from(chunk.bytes.len()).unwrap_or(u32::MAX);
            let (place, frame) = match decision {
                Decision::Known(location, frame) => (Place::Known(location.id), Some(frame)),
                Decision::New(reservation) => {
                    let bytes = chunk.frame.or_else(|| frames.next()).unwrap_or_default();
                    fresh.push(Frame { size, cache: lane.cache(), bytes: bytes.clone(), reservation });
                    (Place::New, Some(bytes))
                }
                Decision::InFlight(ticket) => (Place::InFlight(ticket), None),
            };
            placed.push((Placed { hash: chunk.hash, size, place }, frame));
        }
        if !fresh.is_empty() {
            lane.append(fresh).await?;
        }
        Ok(placed)
    }

    async fn decide(self: &Arc<Self>, lane: &Arc<Lane>, chunks: &[RawChunk]) -> Result<Vec<Decision>, StoreError> {
        let hashes: Vec<ChunkHash> = chunks.iter().map(|c| c.hash).collect();
        // Claim first, look up second: a chunk that settles in between is found by the look-up.
        let reserved = self.in_flight.reserve(&hashes, lane);
        let claimed = |(r, hash): (&Reserved, &ChunkHash)| matches!(r, Reserved::Mine(_)).then_some(*hash);
        let mine: Vec<ChunkHash> = reserved.iter().zip(&hashes).filter_map(claimed).collect();
        let locations: HashMap<ChunkHash, ChunkLocation> = mine
            .iter()
            .zip(self.database.find_chunks(&mine).await?)
            .filter_map(|(hash, location)| Some((*hash, location?)))
            .collect();
        let found: Vec<ChunkLocation> = mine.iter().filter_map(|hash| locations.get(hash).copied()).collect();
        let frames = self.read_frames(&found).await?;
        let damaged: Vec<ChunkLocation> =
            found.iter().zip(&frames).filter(|(_, f)| f.is_none()).map(|(c, _)| *c).collect();
        if !damaged.is_empty() {
            tracing::warn!(chunks = damaged.len(), "stored chunks are damaged; storing them anew");
            self.mark_damaged(&damaged).await?;
        }
        let mut whole: HashMap<ChunkId, Bytes> =
            found.iter().zip(frames).filter_map(|(c, frame)| Some((c.id, frame?))).collect();
        Ok(reserved
            .into_iter()
            .zip(hashes)
            .map(|(reserved, hash)| match reserved {
                Reserved::Elsewhere(ticket) => Decision::InFlight(ticket),
                Reserved::Mine(reservation) => match locations.get(&hash).copied() {
                    Some(location) => match whole.remove(&location.id) {
                        Some(frame) => {
                            reservation.settle();
                            Decision::Known(location, frame)
                        }
                        None => Decision::New(reservation),
                    },
                    None => Decision::New(reservation),
                },
            })
            .collect())
    }

    /// Compresses the new chunks, as many at a time as there are processors.
    async fn compress(&self, chunks: &[RawChunk], decisions: &[Decision]) -> Result<Vec<Bytes>, StoreError> {
        let fresh = chunks.iter().zip(decisions).filter(|(c, d)| c.frame.is_none() && matches!(d, Decision::New(_)));
        let work: Vec<Bytes> = fresh.map(|(chunk, _)| chunk.bytes.clone()).collect();
        stream::iter(work.into_iter().map(|chunk| {
            let compressor = Arc::clone(&self.compressor);
            async move {
                let _processor = self.processors.acquire().await.map_err(|_| StoreError::Stopped)?;
                let frame = tokio::task::spawn_blocking(move || compressor.compress(&chunk)).await;
                frame.map_err(|_| StoreError::Stopped)?.map_err(|error| StoreError::Compression(Arc::new(error)))
            }
        }))
        .buffered(super::processors())
        .try_collect()
        .await
    }
}
