//! The stage that takes chunks: those that were sent, checked and placed; those that were not, read back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use database::ChunkLocation;
use formats::PathInfo;
use protocol::{ChunkHash, ManifestEntry};
use tokio::{sync::mpsc, time::Instant};

use super::{
    PathRefusal, Shared, Step,
    recent::Recent,
    unpacking::{Unpacked, decompressed},
};
use crate::{
    ingest::IngestError,
    store::{Place, Placed, RawChunk},
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

/// A batch with everything that its steps name.
pub(super) struct Taken {
    pub(super) steps: Vec<Step>,
    pub(super) chunks: Chunks,
    /// What the metadata of each path that begins says.
    pub(super) begun: Vec<Result<PathInfo, PathRefusal>>,
}

/// Takes the chunks of one stream.
pub(super) struct Taking<'a> {
    shared: &'a Shared<'a>,
    /// Chunks that this stream has brought so far.
    brought: HashSet<ChunkHash>,
    recent: Recent,
    /// Whether the path that the steps are in is refused already.
    refused: bool,
}

impl<'a> Taking<'a> {
    pub(super) fn new(shared: &'a Shared<'a>) -> Self {
        let recent = Recent::new(Arc::clone(&shared.ingest.recent));
        Self { shared, brought: HashSet::new(), recent, refused: false }
    }

    /// Takes what comes until nothing does, or nobody wants more.
    ///
    /// Chunks do not wait in the lane for longer than a moment, however slowly they come: a crash costs no more than that.
    pub(super) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Unpacked>,
        out: mpsc::Sender<Taken>,
    ) -> Result<(), IngestError> {
        let lane = &self.shared.lane;
        loop {
            let due = lane.due().await;
            let batch = tokio::select! {
                batch = batches.recv() => batch,
                () = until(due) => {
                    // Unless it was put away meanwhile, with the paths that were complete.
                    if lane.due().await.is_some_and(|due| due <= Instant::now()) {
                        lane.seal().await?;
                    }
                    continue;
                }
            };
            let Some(batch) = batch else { return Ok(()) };
            let taken = self.take(batch).await?;
            if out.send(taken).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Gets hold of every chunk that the steps of a batch name.
    async fn take(&mut self, Unpacked { steps, raw }: Unpacked) -> Result<Taken, IngestError> {
        let mut chunks = self.place(raw).await?;
        let mut begun = Vec::new();
        let mut wanted: Vec<ManifestEntry> = Vec::new();
        let mut seen = HashSet::new();
        for step in &steps {
            match step {
                Step::Begin(info) => {
                    let parsed = (self.shared.context.parse)(info);
                    // Nothing is read back for a path that is refused already.
                    self.refused = parsed.is_err();
                    begun.push(parsed);
                }
                Step::End | Step::Withdrawn => self.refused = false,
                Step::Known(entry) if !self.refused && !chunks.contains_key(&entry.hash) && seen.insert(entry.hash) => {
                    wanted.push(*entry);
                }
                Step::Known(_) | Step::Sent(..) | Step::Loose(..) => {}
            }
        }
        let wanted = self.recall(wanted, &mut chunks).await?;
        let lacking = self.read_back(wanted, &mut chunks).await?;
        let ours = |entry: &ManifestEntry| self.brought.contains(&entry.hash);
        if lacking.iter().any(ours) {
            // This stream brought them before: they wait in the lane, or are being committed at this moment.
            self.shared.lane.seal().await?;
            let hashes: Vec<ChunkHash> = lacking.iter().filter(|entry| ours(entry)).map(|entry| entry.hash).collect();
            self.shared.ingest.store.settled(&hashes).await;
            self.read_back(lacking, &mut chunks).await?;
        }
        Ok(Taken { steps, chunks, begun })
    }

    /// Stores what was sent.
    async fn place(&mut self, raw: Vec<RawChunk>) -> Result<Chunks, IngestError> {
        self.brought.extend(raw.iter().map(|chunk| chunk.hash));
        let plain: Vec<Bytes> = raw.iter().map(|chunk| chunk.bytes.clone()).collect();
        let placed = self.shared.ingest.store.place(&self.shared.lane, raw).await?;
        let mut chunks = Chunks::with_capacity(placed.len());
        for (plain, (placed, frame)) in plain.into_iter().zip(placed) {
            if let Some(frame) = &frame {
                self.recent.keep(placed.clone(), frame.clone());
            }
            chunks.insert(placed.hash, AtHand { placed, plain, frame });
        }
        Ok(chunks)
    }

    /// Takes chunks that this stream brought a short while ago; gives back the others.
    async fn recall(&self, wanted: Vec<ManifestEntry>, chunks: &mut Chunks) -> Result<Vec<ManifestEntry>, IngestError> {
        let (mut places, mut frames, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for entry in wanted {
            match self.recent.find(&entry.hash) {
                Some((placed, frame)) if placed.size == entry.size => {
                    places.push(placed);
                    frames.push((entry, frame));
                }
                _ => others.push(entry),
            }
        }
        let raw = decompressed(self.shared.ingest.store.decompressor(), frames, false).await?;
        for (raw, placed) in raw.into_iter().zip(places) {
            chunks.insert(raw.hash, AtHand { placed, plain: raw.bytes, frame: raw.frame });
        }
        Ok(others)
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
        let Shared { ingest, context, .. } = self.shared;
        let hashes: Vec<ChunkHash> = wanted.iter().map(|entry| entry.hash).collect();
        let found = ingest.database.find_visible_chunks(&context.readable, &hashes).await?;
        let mut locations: Vec<(ManifestEntry, ChunkLocation)> = Vec::new();
        let mut lacking = Vec::new();
        for (entry, location) in wanted.into_iter().zip(found) {
            match location {
                Some(location) if location.size == entry.size => locations.push((entry, location)),
                _ => lacking.push(entry),
            }
        }
        let places: Vec<ChunkLocation> = locations.iter().map(|(_, location)| *location).collect();
        let frames = ingest.store.read_frames(&places).await?;
        let damaged: Vec<ChunkLocation> =
            places.iter().zip(&frames).filter(|(_, f)| f.is_none()).map(|(c, _)| *c).collect();
        ingest.store.mark_damaged(&damaged).await?;
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
        for (raw, id) in decompressed(ingest.store.decompressor(), whole, false).await?.into_iter().zip(ids) {
            let size = u32::try_from(raw.bytes.len()).unwrap_or(u32::MAX);
            let placed = Placed { hash: raw.hash, size, place: Place::Known(id) };
            chunks.insert(raw.hash, AtHand { placed, plain: raw.bytes, frame: raw.frame });
        }
        Ok(lacking)
    }
}

/// Waits for a moment, or for ever.
pub(super) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
