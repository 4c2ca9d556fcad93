//! The chunks of a batch: those that were sent, checked and placed; those that were not, read back.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use database::ChunkLocation;
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{ChunkHash, ManifestEntry};

use super::{Native, Step, verify::Verifying};
use crate::{
    ingest::IngestError,
    store::{Place, Placed, RawChunk, decompress_frame, processors},
};

/// A chunk that is at hand.
#[derive(Debug, Clone)]
pub(super) struct AtHand {
    /// Where it is stored.
    pub(super) placed: Placed,
    /// Its bytes.
    pub(super) plain: Bytes,
    /// Its bytes as they are stored, unless somebody else is storing them.
    pub(super) frame: Option<Bytes>,
}

/// The chunks of a batch by name. What is not in it was not sent and is not there.
pub(super) type Chunks = HashMap<ChunkHash, AtHand>;

impl Native<'_> {
    /// Gets hold of every chunk that these steps name.
    pub(super) async fn chunks(&mut self, steps: &[Step]) -> Result<Chunks, IngestError> {
        let sent = steps.iter().filter_map(|step| match step {
            Step::Sent(entry, frame) | Step::Loose(entry, frame) => Some((*entry, frame.clone())),
            Step::Begin(_) | Step::Known(_) | Step::End => None,
        });
        let mut chunks = self.take_sent(sent.collect()).await?;
        // Nothing is read back for a path that is refused already.
        let mut refused = self.current.as_ref().is_some_and(Verifying::is_refused);
        let mut wanted: Vec<ManifestEntry> = Vec::new();
        let mut seen = HashSet::new();
        for step in steps {
            match step {
                Step::Begin(info) => refused = (self.context.parse)(info).is_err(),
                Step::End => refused = false,
                Step::Known(entry) if !refused && !chunks.contains_key(&entry.hash) && seen.insert(entry.hash) => {
                    wanted.push(*entry);
                }
                Step::Known(_) | Step::Sent(..) | Step::Loose(..) => {}
            }
        }
        let lacking = self.read_back(wanted, &mut chunks).await?;
        if lacking.iter().any(|entry| self.brought.contains(&entry.hash)) {
            // This stream brought them before, and they wait in the lane.
            self.lane.seal().await?;
            self.read_back(lacking, &mut chunks).await?;
        }
        Ok(chunks)
    }

    /// Checks and stores what was sent.
    async fn take_sent(&mut self, sent: Vec<(ManifestEntry, Bytes)>) -> Result<Chunks, IngestError> {
        let mut seen = HashSet::new();
        let sent = sent.into_iter().filter(|(entry, _)| seen.insert(entry.hash)).collect();
        let raw = decompressed(sent).await?;
        for chunk in &raw {
            if ChunkHash::of(&chunk.bytes) != chunk.hash {
                return Err(IngestError::Chunk(chunk.hash));
            }
        }
        self.brought.extend(raw.iter().map(|chunk| chunk.hash));
        let plain: Vec<Bytes> = raw.iter().map(|chunk| chunk.bytes.clone()).collect();
        let placed = self.ingest.store.place(&self.lane, raw).await?;
        let at_hand = plain.into_iter().zip(placed).map(|(plain, (placed, frame))| AtHand { placed, plain, frame });
        Ok(at_hand.map(|chunk| (chunk.placed.hash, chunk)).collect())
    }

    /// Reads chunks that should be there, as far as the pusher may know of them; gives back those that are not.
    async fn read_back(
        &self,
        wanted: Vec<ManifestEntry>,
        chunks: &mut Chunks,
    ) -> Result<Vec<ManifestEntry>, IngestError> {
        if wanted.is_empty() {
            return Ok(wanted);
        }
        let hashes: Vec<ChunkHash> = wanted.iter().map(|entry| entry.hash).collect();
        let found = self.ingest.database.find_visible_chunks(&self.context.readable, &hashes).await?;
        let mut locations: Vec<(ManifestEntry, ChunkLocation)> = Vec::new();
        let mut lacking = Vec::new();
        for (entry, location) in wanted.into_iter().zip(found) {
            match location {
                Some(location) if location.size == entry.size => locations.push((entry, location)),
                _ => lacking.push(entry),
            }
        }
        let places: Vec<ChunkLocation> = locations.iter().map(|(_, location)| *location).collect();
        let frames = self.ingest.store.read_frames(&places).await?;
        let damaged: Vec<ChunkLocation> =
            places.iter().zip(&frames).filter(|(_, f)| f.is_none()).map(|(c, _)| *c).collect();
        self.ingest.store.mark_damaged(&damaged).await?;
        let mut whole = Vec::new();
        let mut ids = Vec::new();
        for ((entry, location), frame) in locations.into_iter().zip(frames) {
            match frame {
                Some(frame) => {
                    ids.push(location.id);
                    whole.push((entry, frame));
                }
                None => lacking.push(entry),
            }
        }
        for (raw, id) in decompressed(whole).await?.into_iter().zip(ids) {
            let size = u32::try_from(raw.bytes.len()).unwrap_or(u32::MAX);
            let placed = Placed { hash: raw.hash, size, place: Place::Known(id) };
            chunks.insert(raw.hash, AtHand { placed, plain: raw.bytes, frame: raw.frame });
        }
        Ok(lacking)
    }
}

/// Decompresses frames, as many at a time as there are processors.
async fn decompressed(frames: Vec<(ManifestEntry, Bytes)>) -> Result<Vec<RawChunk>, IngestError> {
    /// What one thread takes at a time: many small chunks together, a large one alone.
    const PORTION_BYTES: u64 = 512 << 10;
    let mut portions: Vec<Vec<(ManifestEntry, Bytes)>> = Vec::new();
    let mut bytes = PORTION_BYTES;
    for (entry, frame) in frames {
        if bytes >= PORTION_BYTES {
            portions.push(Vec::new());
            bytes = 0;
        }
        bytes += u64::from(entry.size);
        if let Some(portion) = portions.last_mut() {
            portion.push((entry, frame));
        }
    }
    let portions: Vec<Vec<RawChunk>> = stream::iter(portions.into_iter().map(|portion| async move {
        let work = move || portion.into_iter().map(decompress_one).collect::<Result<Vec<_>, IngestError>>();
        tokio::task::spawn_blocking(work).await.map_err(|_| crate::store::StoreError::Stopped)?
    }))
    .buffered(processors())
    .try_collect()
    .await?;
    Ok(portions.into_iter().flatten().collect())
}

fn decompress_one((entry, frame): (ManifestEntry, Bytes)) -> Result<RawChunk, IngestError> {
    let plain = decompress_frame(&frame, entry.size).map_err(|_| IngestError::Chunk(entry.hash))?;
    Ok(RawChunk { hash: entry.hash, bytes: plain.into(), frame: Some(frame) })
}
