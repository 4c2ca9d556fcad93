//! Frames from their records.

use std::collections::HashMap;

use database::{Commit, NewChunk, NewPack};
use protocol::ChunkHash;

use super::{Rebuild, RebuildError, report::Stage, survey::Survey, verify};
use crate::pack::Record;

/// How many packs, and how many chunks, go into one transaction.
const BATCH_PACKS: usize = 64;
const BATCH_CHUNKS: usize = 20_000;
/// How many chunks are looked up at once.
const LOOK_UP: usize = 1000;

impl Rebuild<'_> {
    /// Makes every pack and the frames in it known.
    pub(super) async fn replay_frames(&mut self, survey: &mut Survey) -> Result<(), RebuildError> {
        let total = survey.frames.len() as u64;
        let mut batch: Vec<NewPack> = Vec::new();
        let mut chunks = 0;
        for (done, entry) in (1..).zip(std::mem::take(&mut survey.frames)) {
            let records = survey.spool.read(&entry)?.into_iter();
            let frames =
                records.filter_map(|record| if let Record::Chunk(chunk) = record { Some(chunk) } else { None });
            let frames = frames.filter(|chunk| !self.damage.contains(&(entry.pack, chunk.offset)));
            let mut pack = NewPack { name: entry.pack, size: entry.size, chunks: frames.collect() };
            if self.options.verify {
                let bad = verify::frames(&self.storage, &pack).await?;
                for chunk in &bad {
                    self.report
                        .damaged_frames
                        .add(format_args!("{} at {}", pack.name, chunk.offset), "its bytes are wrong");
                    self.damage.insert((pack.name, chunk.offset));
                }
                pack.chunks.retain(|chunk| !bad.contains(chunk));
            }
            chunks += pack.chunks.len();
            batch.push(pack);
            if batch.len() >= BATCH_PACKS || chunks >= BATCH_CHUNKS {
                self.put_packs(std::mem::take(&mut batch)).await?;
                chunks = 0;
            }
            self.tell(Stage::Frames, done, Some(total));
        }
        self.put_packs(batch).await
    }

    /// Makes packs known; sets frames aside whose chunks have another frame already.
    async fn put_packs(&mut self, mut packs: Vec<NewPack>) -> Result<(), RebuildError> {
        if packs.is_empty() {
            return Ok(());
        }
        let hashes: Vec<ChunkHash> = packs.iter().flat_map(|pack| &pack.chunks).map(|chunk| chunk.hash).collect();
        let mut known: HashMap<ChunkHash, (u32, u32)> = HashMap::new();
        for hashes in hashes.chunks(LOOK_UP) {
            let found = self.database.find_chunks(hashes).await?;
            known.extend(hashes.iter().zip(found).filter_map(|(hash, c)| c.map(|c| (*hash, (c.stored_size, c.check)))));
        }
        for pack in &mut packs {
            let mut own: Vec<NewChunk> = Vec::with_capacity(pack.chunks.len());
            for chunk in std::mem::take(&mut pack.chunks) {
                let frame = (chunk.stored_size, chunk.check);
                match known.get(&chunk.hash) {
                    None => {
                        known.insert(chunk.hash, frame);
                        own.push(chunk);
                    }
                    // The same bytes: one place is as good as another.
                    Some(other) if *other == frame => {}
                    Some(_) => self.spare.entry(chunk.hash).or_default().push((pack.name, chunk)),
                }
            }
            pack.chunks = own;
        }
        self.database.commit(&Commit { packs, ..Commit::default() }).await?;
        Ok(())
    }
}
