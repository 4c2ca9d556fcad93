//! NARs from their records.

use std::collections::HashMap;

use database::{ChunkId, ChunkLocation, ChunkPointer, Commit, Gone, NewNar};
use protocol::{ChunkHash, Manifest, Timestamp};

use super::{Rebuild, RebuildError, report::Stage, survey::Survey, verify};
use crate::pack::{NarRecord, Record, Removal};

/// How many NARs, and how many of their chunks, are looked at together.
const BATCH_NARS: usize = 500;
const BATCH_CHUNKS: usize = 50_000;
/// How many chunks are looked up at once.
const LOOK_UP: usize = 1000;

/// The frames that chunks have in the index.
pub(super) type Located = HashMap<ChunkHash, ChunkLocation>;

/// A NAR whose frames were found.
struct Found {
    nar: NewNar,
    /// Whether one of its frames is out of deduplication.
    has_spare: bool,
}

impl Rebuild<'_> {
    /// Makes every NAR known whose frames are all there.
    pub(super) async fn replay_nars(&mut self, survey: &mut Survey) -> Result<(), RebuildError> {
        let total = survey.nars.len() as u64;
        let mut batch: Vec<NarRecord> = Vec::new();
        let mut chunks = 0;
        for (done, entry) in (1..).zip(std::mem::take(&mut survey.nars)) {
            for record in survey.spool.read(&entry)? {
                match record {
                    Record::Nar(nar) => {
                        chunks += nar.manifest.0.len();
                        batch.push(nar);
                    }
                    Record::Removal(Removal::Nar { nar_hash }) => match nar_hash.parse() {
                        Ok(hash) => {
                            self.put_nars(std::mem::take(&mut batch)).await?;
                            self.database.forget(&[Gone::Nar(hash)]).await?;
                        }
                        Err(_) => self.report.malformed_records.add(nar_hash, "no NAR hash"),
                    },
                    _ => {}
                }
                if batch.len() >= BATCH_NARS || chunks >= BATCH_CHUNKS {
                    self.put_nars(std::mem::take(&mut batch)).await?;
                    chunks = 0;
                }
            }
            self.tell(Stage::Nars, done, Some(total));
        }
        self.put_nars(batch).await
    }

    async fn put_nars(&mut self, records: Vec<NarRecord>) -> Result<(), RebuildError> {
        let manifests = records.iter().flat_map(|nar| [Some(&nar.manifest), nar.listing.as_ref()]).flatten();
        let located = self.locate(manifests).await?;
        let mut nars = Vec::new();
        for record in records {
            let found = match self.found(&record, &located).await? {
                Ok(found) => found,
                Err(why) => {
                    self.report.damaged_nars.add(record.nar_hash, why);
                    continue;
                }
            };
            if self.options.verify
                && self.database.find_nar(&record.nar_hash).await?.is_none()
                && let Err(why) = verify::nar(&self.storage, &*self.database, &found.nar).await?
            {
                self.report.damaged_nars.add(record.nar_hash, why);
                continue;
            }
            if found.has_spare {
                // In their order: the first record of a NAR is the one that counts.
                self.commit_nars(std::mem::take(&mut nars)).await?;
                self.database.restore_nar(&found.nar).await?;
            } else {
                nars.push(found.nar);
            }
        }
        self.commit_nars(nars).await
    }

    async fn commit_nars(&self, nars: Vec<NewNar>) -> Result<(), RebuildError> {
        if !nars.is_empty() {
            self.database.commit(&Commit { nars, ..Commit::default() }).await?;
        }
        Ok(())
    }

    /// The frames that the chunks of these manifests have in the index.
    pub(super) async fn locate<'m>(
        &self,
        manifests: impl Iterator<Item = &'m Manifest>,
    ) -> Result<Located, RebuildError> {
        let mut hashes: Vec<ChunkHash> = manifests.flat_map(|manifest| &manifest.0).map(|entry| entry.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut located = HashMap::with_capacity(hashes.len());
        for hashes in hashes.chunks(LOOK_UP) {
            let found = self.database.find_chunks(hashes).await?;
            located.extend(hashes.iter().zip(found).filter_map(|(hash, location)| Some((*hash, location?))));
        }
        Ok(located)
    }

    /// Finds the very frames that a record is about; if they are not there, says why.
    async fn found(&mut self, record: &NarRecord, located: &Located) -> Result<Result<Found, String>, RebuildError> {
        let mut manifest = Vec::with_capacity(record.manifest.0.len());
        let mut has_spare = false;
        let mut file_size = 0;
        for (position, entry) in record.manifest.0.iter().enumerate() {
            let check = record.checks.as_ref().map(|checks| checks[position]);
            let fits = |size: u32, found: u32| size == entry.size && check.is_none_or(|check| check == found);
            let location = located.get(&entry.hash).filter(|location| fits(location.size, location.check));
            let (id, stored_size) = match location {
                Some(location) => (location.id, location.stored_size),
                None => match self.spare_frame(entry.hash, fits).await? {
                    Some(spare) => {
                        has_spare = true;
                        spare
                    }
                    None => return Ok(Err(format!("a frame of the chunk {} is missing", entry.hash))),
                },
            };
            file_size += u64::from(stored_size);
            manifest.push(ChunkPointer::Known(id));
        }
        if file_size != record.file_size {
            return Ok(Err(format!("its frames have {file_size} bytes and not {}", record.file_size)));
        }
        let nar = NewNar {
            nar_hash: record.nar_hash,
            nar_size: record.nar_size,
            file_hash: record.file_hash,
            file_size,
            manifest,
            listing: record.listing.as_ref().and_then(|listing| pointers(listing, located)),
            now: Timestamp(record.at.unwrap_or(0)),
        };
        Ok(Ok(Found { nar, has_spare }))
    }

    /// A row for a frame that was set aside.
    async fn spare_frame(
        &self,
        hash: ChunkHash,
        fits: impl Fn(u32, u32) -> bool,
    ) -> Result<Option<(ChunkId, u32)>, RebuildError> {
        let spares = self.spare.get(&hash).into_iter().flatten();
        for (pack, chunk) in spares.filter(|(_, chunk)| fits(chunk.size, chunk.check)) {
            if let Some(id) = self.database.add_frame(*pack, chunk, self.clock.now()).await? {
                return Ok(Some((id, chunk.stored_size)));
            }
        }
        Ok(None)
    }
}

/// A manifest by rows, whichever frames they are; none if a chunk is missing.
pub(super) fn pointers(manifest: &Manifest, located: &Located) -> Option<Vec<ChunkPointer>> {
    let pointer = |hash: &ChunkHash| located.get(hash).map(|location| ChunkPointer::Known(location.id));
    manifest.0.iter().map(|entry| pointer(&entry.hash)).collect()
}
