//! Frames that were read lately, in memory and on a disk of this machine: for a storage that is far away.
//!
//! A frame at a place in a pack never changes, so what is kept is never out of date; and each is compared with its checksum again
//! when it comes from here. So the folder may be damaged or deleted at any moment: what is not right is read from the storage.

mod disk;

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use database::ChunkLocation;
use quick_cache::{Weighter, sync::Cache};

use self::disk::Disk;
use super::extent::is_whole;
use crate::metrics as names;

/// A guess at the size of a frame, from which the number of entries is estimated.
const USUAL_FRAME: u64 = 64 << 10;
/// What an entry costs beside its frame.
const OVERHEAD: u64 = 100;

/// How much is kept, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSizes {
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes on the disk.
    pub disk: u64,
    /// The folder for them, which no other process uses.
    pub folder: PathBuf,
}

/// Frames that were read lately. Clones share them.
#[derive(Debug, Clone)]
pub struct FrameCache(Arc<Tiers>);

#[derive(Debug)]
struct Tiers {
    memory: Option<Cache<Name, Bytes, ByBytes>>,
    disk: Option<Disk>,
}

/// A frame by its place: packs have random names, which are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    pack: [u8; 16],
    offset: u64,
}

impl Name {
    fn of(chunk: &ChunkLocation) -> Self {
        Self { pack: chunk.pack.0, offset: chunk.offset }
    }
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Name, Bytes> for ByBytes {
    fn weight(&self, _: &Name, frame: &Bytes) -> u64 {
        frame.len() as u64 + OVERHEAD
    }
}

fn entries(bytes: u64) -> usize {
    usize::try_from(bytes / USUAL_FRAME).unwrap_or(usize::MAX).max(16)
}

impl FrameCache {
    /// A cache of these sizes; nothing if both are 0. What an earlier run left in the folder is used again.
    ///
    /// # Errors
    /// If the folder cannot be made or listed.
    pub async fn open(sizes: CacheSizes) -> io::Result<Option<Self>> {
        if sizes.memory == 0 && sizes.disk == 0 {
            return Ok(None);
        }
        let open = move || {
            let memory = (sizes.memory > 0).then(|| Cache::with_weighter(entries(sizes.memory), sizes.memory, ByBytes));
            let disk = if sizes.disk > 0 { Some(Disk::open(sizes.folder, sizes.disk)?) } else { None };
            Ok(Some(Self(Arc::new(Tiers { memory, disk }))))
        };
        tokio::task::spawn_blocking(open).await.map_err(io::Error::other)?
    }

    /// Whether a frame is here, in all likelihood.
    pub(super) fn has(&self, chunk: &ChunkLocation) -> bool {
        let name = Name::of(chunk);
        self.0.memory.as_ref().is_some_and(|memory| memory.contains_key(&name))
            || self.0.disk.as_ref().is_some_and(|disk| disk.has(&name))
    }

    /// The first of these frames, for as long as each is here and whole.
    pub(super) async fn get(&self, chunks: &[ChunkLocation]) -> Vec<Bytes> {
        let mut frames = self.get_in_memory(chunks);
        let rest = &chunks[frames.len()..];
        if let Some(disk) = &self.0.disk
            && !rest.is_empty()
        {
            let read = disk.get(rest).await;
            for (chunk, frame) in rest.iter().zip(&read) {
                self.keep_in_memory(chunk, frame);
            }
            frames.extend(read);
        }
        frames
    }

    fn get_in_memory(&self, chunks: &[ChunkLocation]) -> Vec<Bytes> {
        let Some(memory) = &self.0.memory else { return Vec::new() };
        let here = |chunk: &ChunkLocation| memory.get(&Name::of(chunk)).filter(|frame| is_whole(chunk, frame));
        let frames: Vec<Bytes> = chunks.iter().map_while(here).collect();
        count("memory", &frames);
        frames
    }

    /// Keeps a frame that was read from the storage and is whole.
    pub(super) fn keep(&self, chunk: &ChunkLocation, frame: &Bytes) {
        count("storage", std::slice::from_ref(frame));
        self.keep_in_memory(chunk, frame);
        if let Some(disk) = &self.0.disk {
            disk.keep(Name::of(chunk), frame);
        }
    }

    fn keep_in_memory(&self, chunk: &ChunkLocation, frame: &Bytes) {
        if let Some(memory) = &self.0.memory {
            // A copy: else a short frame would hold the whole read that it is a part of.
            memory.insert(Name::of(chunk), Bytes::copy_from_slice(frame));
        }
    }
}

fn count(from: &'static str, frames: &[Bytes]) {
    if !frames.is_empty() {
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        metrics::counter!(names::READ_CACHE_FRAMES, "from" => from).increment(frames.len() as u64);
        metrics::counter!(names::READ_CACHE_BYTES, "from" => from).increment(bytes as u64);
    }
}

#[cfg(test)]
mod tests;
