//! Looking at a pack: the object, its trailer, its frames, and whether the index says the same of them.

use std::collections::HashMap;

use bytes::Bytes;
use database::{ChunkLocation, ChunkRow, NewChunk, PackRow};
use futures::StreamExt;

use super::{Finding, InspectError, Inspector, frames::Piece};
use crate::{
    fetch::is_damage,
    pack::{self, FOOTER_BYTES, Footer, MAGIC, PackError, Record},
};

/// What a look at a pack told.
#[derive(Debug, Default)]
pub(super) struct PackLook {
    pub(super) findings: Vec<Finding>,
    /// Chunks that are damaged, and were not known to be.
    pub(super) damaged: Vec<ChunkLocation>,
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl Inspector {
    /// Looks at a pack; a second time, if the first tells of anything.
    pub(super) async fn pack(&self, pack: PackRow) -> Result<PackLook, InspectError> {
        let look = self.look_at_pack(&pack).await?;
        if look.findings.is_empty() {
            return Ok(look);
        }
        match self.database.find_packs(&[pack.name]).await?.pop().flatten() {
            Some(row) if row.id == pack.id => {
                let look = self.look_at_pack(&row).await?;
                self.note_damaged(&look.damaged);
                Ok(look)
            }
            // It was collected meanwhile.
            _ => Ok(PackLook::default()),
        }
    }

    async fn look_at_pack(&self, row: &PackRow) -> Result<PackLook, InspectError> {
        let (pack, key) = (row.name, pack::key(row.name));
        let mut look = PackLook::default();
        let rows = self.database.list_pack_chunks(row.id).await?;
        let Some(found) = self.storage().size(&key).await? else {
            // A disk that is not mounted has nothing at all: that is no damage.
            if self.storage().list("packs/").next().await.transpose()?.is_none() {
                return Err(InspectError::NothingThere);
            }
            // One without chunks had records of its own, which are gone.
            let is_known = !rows.is_empty() && rows.iter().all(|row| row.is_damaged);
            look.findings.push(if is_known {
                Finding::PackKnownMissing { pack }
            } else {
                Finding::PackMissing { pack }
            });
            look.damaged = rows.iter().filter(|row| !row.is_damaged).map(|row| row.location).collect();
            return Ok(look);
        };
        look.bytes = found;
        let expected = row.size;
        if found < expected {
            look.findings.push(Finding::PackTooShort { pack, expected, found });
        } else if found > expected {
            look.findings.push(Finding::PackTooLong { pack, expected, found });
        }
        let magic = self.read_or_nothing(&key, 0..MAGIC.len() as u64).await?;
        if magic.as_deref() != Some(&MAGIC[..]) {
            look.findings.push(Finding::PackBeginning { pack });
        }
        // What is cut off has no trailer, which need not be said twice.
        let records = if found < expected { None } else { self.records_or_finding(row, &mut look.findings).await? };
        let (pieces, disagreements) = merge(&rows, records.as_deref());
        look.findings.extend(disagreements.into_iter().map(|offset| Finding::PackDisagrees { pack, offset }));
        look.frames = pieces.len() as u64;
        for (piece, why) in self.faults(pack, &pieces).await? {
            let offset = piece.offset;
            look.findings.push(match (piece.chunk, piece.is_known) {
                (Some(_), true) => Finding::FrameKnownDamaged { pack, offset },
                (Some(chunk), false) => {
                    look.damaged.push(chunk);
                    Finding::FrameDamaged { pack, offset, why }
                }
                (None, _) => Finding::FrameUnusedDamaged { pack, offset },
            });
        }
        Ok(look)
    }

    /// The chunks that the trailer names; `None`, and a finding, if it cannot be read.
    async fn records_or_finding(
        &self,
        row: &PackRow,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Vec<NewChunk>>, InspectError> {
        match self.records(row).await? {
            Ok(records) => Ok(Some(
                records.into_iter().filter_map(|r| if let Record::Chunk(c) = r { Some(c) } else { None }).collect(),
            )),
            Err(error) => {
                findings.push(Finding::PackTrailer { pack: row.name, why: error.to_string() });
                Ok(None)
            }
        }
    }

    /// What the trailer of a pack of that length says.
    pub(super) async fn records(&self, row: &PackRow) -> Result<Result<Vec<Record>, PackError>, InspectError> {
        self.records_at(&pack::key(row.name), row.size).await
    }

    /// What the trailer of an object of that length says.
    pub(super) async fn records_at(
        &self,
        key: &storage::Key,
        size: u64,
    ) -> Result<Result<Vec<Record>, PackError>, InspectError> {
        let Some(start) = size.checked_sub(FOOTER_BYTES as u64) else { return Ok(Err(PackError::NotAPack)) };
        let Some(footer) = self.read_or_nothing(key, start..size).await? else {
            return Ok(Err(PackError::NotAPack));
        };
        let footer = match Footer::decode(&footer) {
            Ok(footer) => footer,
            Err(error) => return Ok(Err(error)),
        };
        // Compared before anything is read: a footer that lies must not cost memory.
        if footer.offset.checked_add(u64::from(footer.length)) != Some(start) {
            return Ok(Err(PackError::Checksum));
        }
        let Some(trailer) = self.read_or_nothing(key, footer.offset..start).await? else {
            return Ok(Err(PackError::NotAPack));
        };
        super::off_reactor(move || footer.records(&trailer)).await
    }

    /// Bytes of an object; `None` if it does not have them.
    pub(super) async fn read_or_nothing(
        &self,
        key: &storage::Key,
        range: std::ops::Range<u64>,
    ) -> Result<Option<Bytes>, InspectError> {
        match self.storage().read(key, range).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The frames that rows or the trailer name, in the order of their places; and where the two disagree.
fn merge(rows: &[ChunkRow], trailer: Option<&[NewChunk]>) -> (Vec<Piece>, Vec<u64>) {
    let mut unnamed: HashMap<u64, &NewChunk> =
        trailer.into_iter().flatten().map(|chunk| (chunk.offset, chunk)).collect();
    let mut disagreements = Vec::new();
    let mut pieces: Vec<Piece> = Vec::with_capacity(rows.len());
    for row in rows {
        let at = row.location;
        let same = |chunk: &&NewChunk| {
            (chunk.hash, chunk.stored_size, chunk.size, chunk.check) == (row.hash, at.stored_size, at.size, at.check)
        };
        // Two rows may name one frame, if one of them is damaged.
        let known = unnamed.remove(&at.offset).is_some_and(|chunk| same(&chunk))
            || pieces.last().is_some_and(|piece| piece.offset == at.offset && piece.hash == row.hash);
        if trailer.is_some() && !known && !row.is_damaged {
            disagreements.push(at.offset);
        }
        pieces.push(Piece {
            chunk: Some(at),
            is_known: row.is_damaged,
            hash: row.hash,
            offset: at.offset,
            stored_size: at.stored_size,
            size: at.size,
            check: at.check,
        });
    }
    pieces.extend(unnamed.into_values().map(|chunk| Piece {
        chunk: None,
        is_known: false,
        hash: chunk.hash,
        offset: chunk.offset,
        stored_size: chunk.stored_size,
        size: chunk.size,
        check: chunk.check,
    }));
    pieces.sort_by_key(|piece| (piece.offset, piece.chunk.map(|chunk| chunk.id)));
    (pieces, disagreements)
}
