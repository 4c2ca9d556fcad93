//! Writing a pack anew under its own name: the same frames at the same places, and a trailer that describes them.

use bytes::Bytes;
use database::{ChunkRow, Commit, NewChunk, NewPack, PackRow};
use protocol::ChunkHash;

use super::{Repair, RepairError};
use crate::{
    inspect::{InspectError, Inspector, off_reactor},
    pack::{self, FOOTER_BYTES, Layout, MAGIC, Record},
    store,
};

/// No frame is longer: a chunk of 4 MiB that cannot be compressed, and as much again.
const MAX_FRAME_BYTES: u64 = 8 << 20;
/// Frames are copied in pieces of this size.
const COPY_BYTES: u64 = 1 << 20;

impl Repair {
    /// Writes a pack anew; `false` if its frames cannot be told apart any more.
    ///
    /// No frame moves, so whoever is reading one is not disturbed, and no row changes but the length of the pack.
    pub(super) async fn rewrite(&self, row: &PackRow, inspector: &Inspector) -> Result<bool, RepairError> {
        let key = pack::key(row.name);
        let Some(length) = self.journal.storage().size(&key).await? else { return Ok(false) };
        let length = length.min(row.size);
        let rows = self.database.list_pack_chunks(row.id).await?;
        let described = inspector.records(row).await?.unwrap_or_default();
        let (chunks, others): (Vec<Record>, Vec<Record>) =
            described.into_iter().partition(|record| matches!(record, Record::Chunk(_)));
        let chunks: Vec<NewChunk> = chunks
            .into_iter()
            .filter_map(|record| if let Record::Chunk(c) = record { Some(c) } else { None })
            .collect();
        let layout = frames(inspector, &key, &rows, &chunks, length).await?;
        // Every row that may still be read must be in the new trailer.
        let covered = |row: &ChunkRow| row.is_damaged || row.location.offset < layout.offset;
        if !rows.iter().all(covered) {
            return Ok(false);
        }
        let (trailer, size) = layout.trailer(self.journal.stamp(), others);
        let mut writer = self.journal.storage().begin(&key).await?;
        writer.write(Bytes::from_static(MAGIC)).await?;
        let mut at = MAGIC.len() as u64;
        while at < layout.offset {
            let end = layout.offset.min(at + COPY_BYTES);
            writer.write(self.journal.storage().read(&key, at..end).await?).await?;
            at = end;
        }
        writer.write(trailer).await?;
        writer.finish().await?;
        let pack = NewPack { name: row.name, size, chunks: Vec::new() };
        let commit = Commit { packs: vec![pack], ..Commit::default() };
        self.database.commit(&commit).await.map_err(store::StoreError::from)?;
        Ok(true)
    }
}

/// Finds the frames of a pack, one behind the other: as rows or the old trailer say, else by what the bytes are.
async fn frames(
    inspector: &Inspector,
    key: &storage::Key,
    rows: &[ChunkRow],
    described: &[NewChunk],
    length: u64,
) -> Result<Layout, InspectError> {
    let trailer_end = length.saturating_sub(FOOTER_BYTES as u64);
    let mut layout = Layout::new();
    loop {
        let at = layout.offset;
        let by_row = rows.iter().filter(|row| row.location.offset == at).map(of_row);
        let known = by_row.chain(described.iter().filter(|chunk| chunk.offset == at).copied());
        let known: Vec<NewChunk> = known.filter(|chunk| at + u64::from(chunk.stored_size) <= length).collect();
        let next = match first_true(inspector, key, &known).await? {
            Some(chunk) => Some(chunk),
            // A damaged frame keeps its place.
            None => match known.first() {
                Some(chunk) => Some(*chunk),
                None => guess(inspector, key, at, trailer_end).await?,
            },
        };
        let Some(chunk) = next else { return Ok(layout) };
        layout.offset += u64::from(chunk.stored_size);
        layout.chunks.push(chunk);
    }
}

fn of_row(row: &ChunkRow) -> NewChunk {
    let at = row.location;
    NewChunk {
        hash: row.hash,
        offset: at.offset,
        stored_size: at.stored_size,
        size: at.size,
        check: at.check,
        cache: None,
    }
}

/// The first of these that is what the bytes are.
async fn first_true(
    inspector: &Inspector,
    key: &storage::Key,
    known: &[NewChunk],
) -> Result<Option<NewChunk>, InspectError> {
    for chunk in known {
        let range = chunk.offset..chunk.offset + u64::from(chunk.stored_size);
        let Some(frame) = inspector.read_or_nothing(key, range).await? else { continue };
        let chunk = *chunk;
        let is_true = off_reactor(move || {
            crc32c::crc32c(&frame) == chunk.check
                && store::decompress(&frame, chunk.size).is_ok_and(|plain| ChunkHash::of(&plain) == chunk.hash)
        });
        if is_true.await? {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

/// The frame that begins here, by its own bytes; none if this is where the old trailer begins, or no frame at all.
async fn guess(
    inspector: &Inspector,
    key: &storage::Key,
    at: u64,
    trailer_end: u64,
) -> Result<Option<NewChunk>, InspectError> {
    let end = trailer_end.min(at + MAX_FRAME_BYTES);
    if at >= end {
        return Ok(None);
    }
    let Some(bytes) = inspector.read_or_nothing(key, at..end).await? else { return Ok(None) };
    off_reactor(move || {
        let length = zstd::zstd_safe::find_frame_compressed_size(&bytes).ok()?;
        let size = zstd::zstd_safe::get_frame_content_size(&bytes).ok().flatten()?;
        let is_trailer = at + length as u64 == trailer_end;
        if is_trailer || size > MAX_FRAME_BYTES {
            return None;
        }
        let frame = bytes.get(..length)?;
        let plain = store::decompress_frame(frame, u32::try_from(size).ok()?).ok()?;
        Some(NewChunk {
            hash: ChunkHash::of(&plain),
            offset: at,
            stored_size: u32::try_from(length).ok()?,
            size: u32::try_from(size).ok()?,
            check: crc32c::crc32c(frame),
            cache: None,
        })
    })
    .await
}
