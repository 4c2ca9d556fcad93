//! Chunks: by name for deduplication, by row for reading.

use async_trait::async_trait;
use database::{
    CacheId, ChunkCollection, ChunkId, ChunkLocation, ChunkRuns, Chunks, Commit, CommitError, PackName, PathOutcome,
    Result,
};
use protocol::{ChunkHash, Timestamp};

use super::commit;
use crate::{
    column::Column,
    dialect::{Connection, Index},
    error::failed,
    list::{BATCH, hexes, json},
};

struct ChunkRow {
    position: i64,
    id: i64,
    pack: Vec<u8>,
    pack_offset: i64,
    stored_size: i64,
    size: i64,
    check_sum: i64,
    condemned_at: Option<i64>,
}

impl ChunkRow {
    fn location(&self) -> Result<ChunkLocation> {
        Ok(ChunkLocation {
            id: ChunkId(self.id),
            pack: PackName(Column("pack", "name").bytes(&self.pack)?),
            offset: Column("chunk", "pack_offset").number(self.pack_offset)?,
            stored_size: Column("chunk", "stored_size").number(self.stored_size)?,
            size: Column("chunk", "size").number(self.size)?,
            check: Column("chunk", "check_sum").number(self.check_sum)?,
        })
    }
}

/// The chunks that are stored under these names, each with its place in `hashes`; at most [`BATCH`] names.
pub(super) async fn find(connection: &mut Connection, hashes: &[ChunkHash]) -> Result<Vec<(usize, ChunkLocation)>> {
    placed(&find_rows(connection, hashes).await?)
}

async fn find_rows(connection: &mut Connection, hashes: &[ChunkHash]) -> Result<Vec<ChunkRow>> {
    let names = hexes(hashes.iter().map(ChunkHash::as_bytes))?;
    sqlx::query_file_as!(ChunkRow, "sql/chunk_find.sql", names).fetch_all(connection).await.map_err(failed)
}

/// Notes those of the rows that are condemned.
fn note_condemned(rows: &[ChunkRow], condemned: &mut Vec<i64>) {
    condemned.extend(rows.iter().filter(|row| row.condemned_at.is_some()).map(|row| row.id));
}

fn placed(rows: &[ChunkRow]) -> Result<Vec<(usize, ChunkLocation)>> {
    rows.iter().map(|row| Ok((Column("chunk", "hash").number(row.position)?, row.location()?))).collect()
}

#[async_trait]
impl Chunks for Index {
    async fn find_chunks(&self, hashes: &[ChunkHash]) -> Result<Vec<Option<ChunkLocation>>> {
        let (found, condemned) = asking!(self, |connection| find_all(connection, hashes).await)?;
        if condemned.is_empty() {
            return Ok(found);
        }
        // Whoever is told that a chunk is there relies on it. It may have gone before it was spared.
        self.spare(condemned).await?;
        asking!(self, |connection| find_all(connection, hashes).await).map(|(found, _)| found)
    }

    async fn find_visible_chunks(
        &self,
        caches: &[CacheId],
        hashes: &[ChunkHash],
    ) -> Result<Vec<Option<ChunkLocation>>> {
        let (found, condemned) = asking!(self, |connection| find_visible(connection, caches, hashes).await)?;
        if condemned.is_empty() {
            return Ok(found);
        }
        self.spare(condemned).await?;
        asking!(self, |connection| find_visible(connection, caches, hashes).await).map(|(found, _)| found)
    }

    async fn locate_chunks(&self, runs: &ChunkRuns) -> Result<Vec<ChunkLocation>> {
        asking!(self, |connection| locate(connection, runs).await)
    }

    async fn mark_damaged(&self, chunks: &[ChunkId], now: Timestamp) -> Result<()> {
        writing!(self, |transaction| mark_damaged(transaction, chunks, now).await)
    }

    async fn commit(&self, commit: &Commit) -> std::result::Result<Vec<PathOutcome>, CommitError> {
        writing_beside!(self, |transaction| commit::apply(transaction, commit).await)
    }
}

impl Index {
    async fn spare(&self, mut chunks: Vec<i64>) -> Result<()> {
        chunks.sort_unstable();
        let ranges: Vec<(i64, i64)> = chunks.into_iter().map(|id| (id, id)).collect();
        self.spare_chunks(&ranges).await.map(drop)
    }
}

/// What is found, and which of it is condemned.
type Found = (Vec<Option<ChunkLocation>>, Vec<i64>);

async fn find_all(connection: &mut Connection, hashes: &[ChunkHash]) -> Result<Found> {
    let mut condemned = Vec::new();
    let mut found = vec![None; hashes.len()];
    for (batch, found) in hashes.chunks(BATCH).zip(found.chunks_mut(BATCH)) {
        let rows = find_rows(connection, batch).await?;
        note_condemned(&rows, &mut condemned);
        for (position, location) in placed(&rows)? {
            found[position] = Some(location);
        }
    }
    Ok((found, condemned))
}

async fn find_visible(connection: &mut Connection, caches: &[CacheId], hashes: &[ChunkHash]) -> Result<Found> {
    let mut condemned = Vec::new();
    let caches = json(&caches.iter().map(|cache| cache.0).collect::<Vec<_>>())?;
    let mut found = vec![None; hashes.len()];
    for (batch, found) in hashes.chunks(BATCH).zip(found.chunks_mut(BATCH)) {
        let names = hexes(batch.iter().map(ChunkHash::as_bytes))?;
        let rows = sqlx::query_file_as!(ChunkRow, "sql/chunk_find_visible.sql", caches, names)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        note_condemned(&rows, &mut condemned);
        for (position, location) in placed(&rows)? {
            found[position] = Some(location);
        }
    }
    Ok((found, condemned))
}

async fn locate(connection: &mut Connection, runs: &ChunkRuns) -> Result<Vec<ChunkLocation>> {
    let mut locations = Vec::new();
    for batch in runs.runs().chunks(BATCH) {
        let ranges: Vec<_> = batch.iter().map(|&(first, length)| (first, first + i64::from(length) - 1)).collect();
        let ranges = json(&ranges)?;
        let rows = sqlx::query_file_as!(ChunkRow, "sql/chunk_locate.sql", ranges)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        for row in &rows {
            locations.push(row.location()?);
        }
    }
    // Each run came in the order of its ids, so a gap shows as the first difference.
    if locations.len() != runs.chunk_count() {
        let mut found = locations.iter().map(|location| location.id);
        let missing = runs.ids().find(|&id| found.next() != Some(id));
        return Err(Column("chunk", "id").wrong(format_args!("{missing:?} of a manifest has no row")));
    }
    Ok(locations)
}

async fn mark_damaged(connection: &mut Connection, chunks: &[ChunkId], now: Timestamp) -> Result<()> {
    for batch in chunks.chunks(BATCH) {
        let ids = json(&batch.iter().map(|chunk| chunk.0).collect::<Vec<_>>())?;
        sqlx::query_file!("sql/chunk_mark_damaged.sql", ids, now.0).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}
