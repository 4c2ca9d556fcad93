//! Packs and chunks of a commit, and what its manifests point to.

use std::collections::HashMap;

use database::{ChunkId, ChunkPointer, ChunkRuns, Commit, CommitError, NewChunk, NewPack};
use protocol::ChunkHash;

use super::super::chunks;
use crate::{
    column::Column,
    dialect::Connection,
    error::failed,
    list::{BATCH, hex, json},
};

/// The rows of a commit's own chunks.
pub(super) struct Chunks(HashMap<ChunkHash, ChunkId>);

impl Chunks {
    /// Gives each chunk a row, unless it has one.
    pub(super) async fn insert(connection: &mut Connection, packs: &[NewPack]) -> Result<Self, CommitError> {
        let mut new: Vec<(i64, &NewChunk)> = Vec::new();
        for pack in packs {
            let name = &pack.name.0[..];
            let size = Column("pack", "size").integer(pack.size)?;
            check_grave(connection, name).await?;
            let id = sqlx::query_file!("../sql/common/pack_insert.sql", name, size)
                .fetch_one(&mut *connection)
                .await
                .map_err(failed)?
                .id;
            new.extend(pack.chunks.iter().map(|chunk| (id, chunk)));
        }
        insert_all(connection, &new).await?;
        let mut rows = HashMap::new();
        for batch in new.chunks(BATCH) {
            let hashes: Vec<_> = batch.iter().map(|(_, chunk)| chunk.hash).collect();
            let mut found = 0;
            for (position, row) in chunks::find(connection, &hashes).await? {
                let (_, new) = batch[position];
                if (row.stored_size, row.size, row.check) != (new.stored_size, new.size, new.check) {
                    return Err(CommitError::ChunkRaced);
                }
                rows.insert(new.hash, row.id);
                found += 1;
            }
            if found != batch.len() {
                return Err(Column("chunk", "hash").wrong("a row is missing right after its insertion").into());
            }
        }
        Ok(Self(rows))
    }

    /// The row of one of the commit's own chunks.
    pub(super) fn id(&self, hash: &ChunkHash) -> Option<ChunkId> {
        self.0.get(hash).copied()
    }

    /// The rows of all of them.
    pub(super) fn ids(&self) -> impl Iterator<Item = ChunkId> {
        self.0.values().copied()
    }

    /// A manifest by rows.
    pub(super) fn runs(&self, manifest: &[ChunkPointer]) -> Result<ChunkRuns, CommitError> {
        manifest
            .iter()
            .map(|pointer| match pointer {
                ChunkPointer::Known(id) => Ok(*id),
                ChunkPointer::New(hash) => self.id(hash).ok_or(CommitError::ChunkGone),
            })
            .collect()
    }
}

/// Refuses a pack whose object is being removed, since nobody had heard of it for long.
async fn check_grave(connection: &mut Connection, name: &[u8]) -> Result<(), CommitError> {
    let doomed =
        sqlx::query_file!("../sql/common/grave_doomed.sql", name).fetch_one(&mut *connection).await.map_err(failed)?;
    if doomed.count > 0 {
        return Err(CommitError::ChunkGone);
    }
    sqlx::query_file!("../sql/common/grave_forget.sql", name).execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Makes sure that all known chunks that the commit's manifests name are there and undamaged.
///
/// To be called before the commit adds any: an id of its own is no known one.
pub(super) async fn check_known(connection: &mut Connection, commit: &Commit) -> Result<(), CommitError> {
    let nars = commit.nars.iter().flat_map(|nar| nar.manifest.iter().chain(nar.listing.iter().flatten()));
    let documents = commit.documents.iter().flat_map(|document| &document.manifest);
    let mut known: Vec<ChunkId> = nars
        .chain(documents)
        .filter_map(|pointer| match pointer {
            ChunkPointer::Known(id) => Some(*id),
            ChunkPointer::New(_) => None,
        })
        .collect();
    known.sort_unstable();
    known.dedup();
    let known: ChunkRuns = known.into_iter().collect();
    for batch in known.runs().chunks(BATCH) {
        let ranges: Vec<_> = batch.iter().map(|&(first, length)| (first, first + i64::from(length) - 1)).collect();
        let ranges = json(&ranges)?;
        let row = sqlx::query_file!("sql/chunk_count.sql", ranges).fetch_one(&mut *connection).await.map_err(failed)?;
        let expected: i64 = batch.iter().map(|&(_, length)| i64::from(length)).sum();
        if row.count != expected {
            return Err(CommitError::ChunkGone);
        }
    }
    Ok(())
}

/// Inserts all of them by one statement: it gives out ids in this order, and need not insert in this order.
async fn insert_all(connection: &mut Connection, new: &[(i64, &NewChunk)]) -> Result<(), CommitError> {
    if new.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = new
        .iter()
        .map(|(pack, chunk)| {
            (pack, hex(chunk.hash.as_bytes()), chunk.offset, chunk.stored_size, chunk.size, chunk.check)
        })
        .collect();
    let rows = json(&rows)?;
    sqlx::query_file!("sql/chunk_insert.sql", rows).execute(connection).await.map_err(failed)?;
    Ok(())
}
