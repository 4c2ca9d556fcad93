//! Rewriting: frames move as they are into a new pack, together with the records that are still true.

use bytes::Bytes;
use database::{ChunkId, ChunkLocation, MovedRun, PackId, PackName, PackUse, PackedChunk, Rewrite};
use storage::Writer;

use super::{
    CollectError, Round,
    records::{self, StampedRecord},
};
use crate::{
    fetch,
    pack::{self, Layout},
};

/// A new pack is closed when it has this many bytes of frames.
const PACK_BYTES: u64 = 64 << 20;

/// A pack that is being written in place of others.
#[derive(Default)]
struct Output {
    layout: Layout,
    writer: Option<(PackName, Box<dyn Writer>)>,
    moved: Vec<MovedRun>,
    records: Vec<StampedRecord>,
    old: Vec<PackId>,
}

impl Round<'_> {
    /// Puts new packs in the place of these, as few as will do.
    pub(super) async fn rewrite(&mut self, packs: Vec<PackUse>) -> Result<(), CollectError> {
        let mut output = Output::default();
        for pack in packs {
            self.chore.renew().await?;
            let Some((frames_end, records)) = self.records(&pack).await? else { continue };
            let frames = frames_end.saturating_sub(pack::MAGIC.len() as u64);
            let little = frames.saturating_mul(self.policy().live_percent) / 100;
            let is_small = pack.size < PACK_BYTES / 16;
            if pack.live_chunks > 0 && pack.live_bytes >= little && !is_small {
                // What is not frames is records: there is nothing to be won.
                self.database().note_examined(pack.id, pack.live_bytes).await?;
                continue;
            }
            let chunks = self.database().chunks_of_pack(pack.id).await?;
            self.copy(&pack, &chunks, &mut output).await?;
            output.records.extend(self.still_true(records).await?);
            output.old.push(pack.id);
            if output.layout.offset >= PACK_BYTES {
                self.close(std::mem::take(&mut output)).await?;
            }
        }
        self.close(output).await
    }

    /// Copies the frames of chunks, each after it was compared with its checksum.
    async fn copy(&mut self, pack: &PackUse, chunks: &[PackedChunk], output: &mut Output) -> Result<(), CollectError> {
        let whole = chunks.iter().filter(|chunk| !chunk.is_damaged);
        let locations: Vec<ChunkLocation> = whole.clone().map(|chunk| location(pack.name, chunk)).collect();
        let mut chunks = whole;
        for extent in fetch::extents(&locations) {
            self.chore.renew().await?;
            let bytes = self.collector.journal.storage().read(&pack::key(pack.name), extent.range()).await;
            let frames: Vec<Option<Bytes>> = match bytes {
                Ok(bytes) => extent.frames(&bytes).map(|(_, frame)| frame.ok()).collect(),
                Err(error) if fetch::is_damage(&error) => vec![None; extent.chunks.len()],
                Err(error) => return Err(error.into()),
            };
            let mut damaged = Vec::new();
            let mut batch = bytes::BytesMut::new();
            // The frames first: when they end, no chunk has been taken that belongs to the next extent.
            for (frame, chunk) in frames.into_iter().zip(chunks.by_ref()) {
                match frame {
                    Some(frame) => {
                        output.note(pack.id, chunk, &frame);
                        batch.extend_from_slice(&frame);
                    }
                    // It stays where it is, and so does the old pack.
                    None => damaged.push(location(pack.name, chunk)),
                }
            }
            if !batch.is_empty() {
                self.report.bytes_moved += batch.len() as u64;
                self.write(output, batch.freeze()).await?;
            }
            if !damaged.is_empty() {
                tracing::error!(pack.name = %pack.name, frames = damaged.len(), "frames of a pack are damaged");
                let ids: Vec<ChunkId> = damaged.iter().map(|frame| frame.id).collect();
                self.database().mark_damaged(&ids, self.now).await?;
                self.collector.journal.damaged(&damaged).await;
            }
        }
        Ok(())
    }

    async fn write(&self, output: &mut Output, bytes: Bytes) -> Result<(), CollectError> {
        let (_, writer) = match &mut output.writer {
            Some(open) => open,
            None => {
                let name = PackName(rand::random());
                let mut writer = self.collector.journal.storage().begin(&pack::key(name)).await?;
                writer.write(Bytes::from_static(pack::MAGIC)).await?;
                output.writer.insert((name, writer))
            }
        };
        Ok(writer.write(bytes).await?)
    }

    /// Makes the new pack durable, and then the index point to it.
    async fn close(&mut self, output: Output) -> Result<(), CollectError> {
        let Output { layout, writer, moved, records, old } = output;
        if old.is_empty() {
            return Ok(());
        }
        let (at, records) = records::in_order(records);
        let pack = match writer {
            Some((name, mut writer)) => {
                let (trailer, size) = layout.trailer(at, records);
                writer.write(trailer).await?;
                writer.finish().await?;
                Some((name, size))
            }
            None => {
                self.collector.journal.record(at, records).await?;
                None
            }
        };
        self.chore.renew().await?;
        let rewrite = Rewrite { pack, moved, old };
        self.report.packs_rewritten += self.database().rewrite_packs(&rewrite, self.now).await?;
        if let Some((name, _)) = pack
            && let Some(id) = self.database().find_pack(name).await?
        {
            let frames = layout.offset - pack::MAGIC.len() as u64;
            self.database().note_examined(id, frames).await?;
        }
        Ok(())
    }
}

impl Output {
    /// Gives a frame its new place.
    fn note(&mut self, from: PackId, chunk: &PackedChunk, frame: &Bytes) {
        let signed = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
        let shift = signed(self.layout.offset) - signed(chunk.offset);
        self.layout.append(chunk.hash, chunk.size, frame, None);
        match self.moved.last_mut() {
            Some(run) if run.from == from && run.shift == shift && run.last.0 + 1 == chunk.id.0 => run.last = chunk.id,
            _ => self.moved.push(MovedRun { from, first: chunk.id, last: chunk.id, shift }),
        }
    }
}

fn location(pack: PackName, chunk: &PackedChunk) -> ChunkLocation {
    let PackedChunk { id, offset, stored_size, size, check, .. } = *chunk;
    ChunkLocation { id, pack, offset, stored_size, size, check }
}
