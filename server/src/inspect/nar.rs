//! Looking at a NAR: its rows, and with [`Depth::Hashes`] every byte of it.

use database::{CacheId, ChunkLocation, ChunkRow, ChunkRuns, NarRow};
use formats::{
    NarHash,
    nar::{Limits, ListingBuilder, Reader},
};
use sha2::{Digest, Sha256};

use super::{Depth, Finding, InspectError, Inspector, off_reactor};
use crate::{
    fetch::{extents, is_damage},
    pack,
    store::{self, FileDigest},
};

/// How many paths of a NAR a finding names.
const NAMED_PATHS: u32 = 3;

/// What a look at a NAR told.
#[derive(Debug, Default)]
pub(super) struct NarLook {
    pub(super) findings: Vec<Finding>,
    /// The NAR cannot be served.
    pub(super) is_damaged: bool,
    /// The listing cannot be.
    pub(super) listing_is_damaged: bool,
    /// Chunks that turned out to be damaged, and were not known to be.
    pub(super) damaged: Vec<ChunkLocation>,
    pub(super) bytes: u64,
}

/// The names of caches that are there.
pub(super) type CacheNames = std::collections::HashMap<CacheId, String>;

impl Inspector {
    /// Looks at a NAR; a second time, if the first tells of anything. `read` is whether to read its frames.
    pub(super) async fn nar(&self, nar: &NarRow, caches: &CacheNames, read: bool) -> Result<NarLook, InspectError> {
        let look = self.look_at_nar(nar, caches, read).await?;
        if look.findings.is_empty() {
            return Ok(look);
        }
        let after = database::NarId(nar.id.0 - 1);
        match self.database.list_nars(after, 1).await?.pop() {
            Some(row) if row.id == nar.id => {
                let look = self.look_at_nar(&row, caches, read).await?;
                self.note_damaged(&look.damaged);
                Ok(look)
            }
            // It was collected meanwhile.
            _ => Ok(NarLook::default()),
        }
    }

    async fn look_at_nar(&self, nar: &NarRow, caches: &CacheNames, read: bool) -> Result<NarLook, InspectError> {
        let mut look = NarLook::default();
        if nar.is_quarantined {
            let paths = self.paths_of(nar, caches).await?;
            look.findings.push(Finding::NarQuarantined { nar: nar.nar_hash, paths });
            return Ok(look);
        }
        let (why, listing) = match &nar.manifest {
            Err(error) => (Some(error.to_string()), None),
            Ok(manifest) => match self.chunks(manifest).await? {
                Err(why) => (Some(why.to_owned()), None),
                Ok(chunks) if read => self.read_nar(nar, &chunks, &mut look).await?,
                Ok(chunks) => (lengths(nar, &chunks), None),
            },
        };
        if let Some(why) = why {
            look.is_damaged = true;
            let paths = self.paths_of(nar, caches).await?;
            look.findings.push(Finding::NarDamaged { nar: nar.nar_hash, why, paths });
        } else if let Some(why) = self.listing_fault(nar, listing.as_deref()).await? {
            look.listing_is_damaged = true;
            look.findings.push(Finding::ListingDamaged { nar: nar.nar_hash, why });
        }
        Ok(look)
    }

    /// The chunks of a manifest, or why they are not to be had.
    pub(super) async fn chunks(
        &self,
        manifest: &ChunkRuns,
    ) -> Result<Result<Vec<ChunkRow>, &'static str>, InspectError> {
        let chunks = self.database.examine_chunks(manifest).await?;
        if chunks.len() != manifest.chunk_count() {
            return Ok(Err("has chunks that are not in the index"));
        }
        if chunks.iter().any(|chunk| chunk.is_damaged || self.is_damaged(chunk.location.id)) {
            return Ok(Err("has chunks that are damaged"));
        }
        Ok(Ok(chunks))
    }

    /// Reads the whole NAR; what is wrong with it, and the listing that it should have.
    async fn read_nar(
        &self,
        nar: &NarRow,
        chunks: &[ChunkRow],
        look: &mut NarLook,
    ) -> Result<(Option<String>, Option<String>), InspectError> {
        if let Some(why) = lengths(nar, chunks) {
            return Ok((Some(why), None));
        }
        let locations: Vec<_> = chunks.iter().map(|chunk| chunk.location).collect();
        let mut reading = Reading::new(self.depth);
        for extent in extents(&locations) {
            self.pace.take(extent.range().end - extent.range().start).await;
            let bytes = match self.storage().read(&pack::key(extent.pack), extent.range()).await {
                Ok(bytes) => bytes,
                Err(error) if is_damage(&error) => {
                    look.damaged.extend(extent.chunks);
                    return Ok((Some("has frames that are cut off".to_owned()), None));
                }
                Err(error) => return Err(error.into()),
            };
            look.bytes += bytes.len() as u64;
            let frames: Vec<_> = extent.frames(&bytes).collect();
            let taken;
            (reading, taken) = off_reactor(move || {
                let taken = frames.into_iter().try_for_each(|(chunk, frame)| match frame {
                    Ok(frame) => reading.push(&frame, chunk.size).map_err(|why| (chunk, why)),
                    Err(_) => Err((chunk, "has frames with wrong checksums")),
                });
                (reading, taken)
            })
            .await?;
            if let Err((chunk, why)) = taken {
                look.damaged.push(chunk);
                return Ok((Some(why.to_owned()), None));
            }
        }
        Ok(match reading.finish(nar) {
            Ok(listing) => (None, listing),
            Err(why) => (Some(why), None),
        })
    }

    /// What is wrong with the listing that the index has; `right` is what it should be, if that is known.
    async fn listing_fault(&self, nar: &NarRow, right: Option<&str>) -> Result<Option<&'static str>, InspectError> {
        let manifest = match &nar.listing {
            None => return Ok(None),
            Some(Err(_)) => return Ok(Some("has a malformed manifest")),
            Some(Ok(manifest)) => manifest,
        };
        let chunks = match self.chunks(manifest).await? {
            Ok(chunks) => chunks,
            Err(why) => return Ok(Some(why)),
        };
        let Some(right) = right else { return Ok(None) };
        match self.plain(&chunks, right.len() as u64).await? {
            Some(plain) if plain == right.as_bytes() => Ok(None),
            Some(_) => Ok(Some("is not that of the NAR")),
            None => Ok(Some("cannot be read")),
        }
    }

    /// The uncompressed bytes of chunks that have `size` bytes altogether; `None` if they are damaged or have another size.
    async fn plain(&self, chunks: &[ChunkRow], size: u64) -> Result<Option<Vec<u8>>, InspectError> {
        if chunks.iter().map(|chunk| u64::from(chunk.location.size)).sum::<u64>() != size {
            return Ok(None);
        }
        let mut plain = Vec::new();
        for chunk in chunks {
            let Some(bytes) = self.chunk_bytes(chunk).await? else { return Ok(None) };
            plain.extend_from_slice(&bytes);
        }
        Ok(Some(plain))
    }

    /// The uncompressed bytes of a chunk, if it is what its name says.
    pub(super) async fn chunk_bytes(&self, chunk: &ChunkRow) -> Result<Option<Vec<u8>>, InspectError> {
        let at = chunk.location;
        let range = at.offset..at.offset + u64::from(at.stored_size);
        let Some(frame) = self.read_or_nothing(&pack::key(at.pack), range).await? else { return Ok(None) };
        let hash = chunk.hash;
        off_reactor(move || {
            let plain = store::decompress(&frame, at.size).ok()?;
            (crc32c::crc32c(&frame) == at.check && protocol::ChunkHash::of(&plain) == hash).then_some(plain)
        })
        .await
    }

    /// Some paths of a NAR, each behind its cache.
    async fn paths_of(&self, nar: &NarRow, caches: &CacheNames) -> Result<Vec<String>, InspectError> {
        let paths = self.database.list_nar_paths(nar.id, NAMED_PATHS).await?;
        let name = |(cache, path): (CacheId, _)| format!("{}/{path}", caches.get(&cache).map_or("", String::as_str));
        Ok(paths.into_iter().map(name).collect())
    }
}

/// Whether the chunks make up what the row says.
fn lengths(nar: &NarRow, chunks: &[ChunkRow]) -> Option<String> {
    let plain: u64 = chunks.iter().map(|chunk| u64::from(chunk.location.size)).sum();
    let stored: u64 = chunks.iter().map(|chunk| u64::from(chunk.location.stored_size)).sum();
    if plain != nar.nar_size {
        Some(format!("has chunks of {plain} bytes, and should have {}", nar.nar_size))
    } else if stored != nar.file_size {
        Some(format!("has frames of {stored} bytes, and should have {}", nar.file_size))
    } else {
        None
    }
}

/// A NAR while it is read.
struct Reading {
    depth: Depth,
    file: FileDigest,
    hasher: Sha256,
    reader: Reader,
    listing: ListingBuilder,
}

impl Reading {
    fn new(depth: Depth) -> Self {
        Self {
            depth,
            file: FileDigest::default(),
            hasher: Sha256::new(),
            reader: Reader::new(Limits::default()),
            listing: ListingBuilder::new(),
        }
    }

    /// Takes the next frame. Takes CPU time.
    fn push(&mut self, frame: &[u8], size: u32) -> Result<(), &'static str> {
        if self.depth < Depth::Hashes {
            return Ok(());
        }
        self.file.feed(frame);
        let plain = store::decompress(frame, size).map_err(|_| "has frames that do not decompress")?;
        self.hasher.update(&plain);
        let listing = &mut self.listing;
        self.reader.push(&plain, &mut |event| listing.push(event)).map_err(|_| "is not a NAR")
    }

    /// Compares the whole with what the row says; gives the listing.
    fn finish(self, nar: &NarRow) -> Result<Option<String>, String> {
        if self.depth < Depth::Hashes {
            return Ok(None);
        }
        self.reader.finish().map_err(|error| format!("is not a NAR: {error}"))?;
        let found = NarHash::from_bytes(self.hasher.finalize().into());
        if found != nar.nar_hash {
            return Err(format!("is stored as the bytes of {found}"));
        }
        match self.file.finish() {
            Some(file) if file.hash == nar.file_hash => Ok(self.listing.finish().map(|listing| listing.render())),
            _ => Err("has frames that do not have its file hash".to_owned()),
        }
    }
}
