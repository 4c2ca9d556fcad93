//! Going through the whole index, page by page.

use async_trait::async_trait;
use database::{
    CacheId, Census, ChunkId, ChunkLocation, ChunkRow, ChunkRuns, ChunkSize, Document, DocumentKind, Inspection, NarId,
    NarRow, PackId, PackName, PackRow, PathLinks, PathSize, Result, ScrubProgress, Traffic,
};
use formats::{FileHash, NarHash, StorePath, StorePathHash};
use protocol::{ChunkHash, Timestamp};

use crate::{
    column::Column,
    dialect::{Connection, Index},
    error::failed,
    list::{BATCH, hex, json},
};

/// The seconds of a day.
const DAY: i64 = 86_400;

struct Chunk {
    id: i64,
    hash: Vec<u8>,
    pack: Vec<u8>,
    pack_offset: i64,
    stored_size: i64,
    size: i64,
    check_sum: i64,
    damaged_at: Option<i64>,
}

impl TryFrom<Chunk> for ChunkRow {
    type Error = database::Error;

    fn try_from(row: Chunk) -> Result<Self> {
        let location = ChunkLocation {
            id: ChunkId(row.id),
            pack: PackName(Column("pack", "name").bytes(&row.pack)?),
            offset: Column("chunk", "pack_offset").number(row.pack_offset)?,
            stored_size: Column("chunk", "stored_size").number(row.stored_size)?,
            size: Column("chunk", "size").number(row.size)?,
            check: Column("chunk", "check_sum").number(row.check_sum)?,
        };
        let hash = ChunkHash(Column("chunk", "hash").bytes(&row.hash)?);
        Ok(Self { hash, location, is_damaged: row.damaged_at.is_some() })
    }
}

fn store_path(hash: &[u8], name: &str) -> Result<StorePath> {
    let hash = StorePathHash::from_bytes(Column("path", "hash").bytes(hash)?);
    Ok(StorePath::new(hash, Column("path", "name").text(name)?))
}

fn pack_row(id: i64, name: &[u8], size: i64) -> Result<PackRow> {
    let name = PackName(Column("pack", "name").bytes(name)?);
    Ok(PackRow { id: PackId(id), name, size: Column("pack", "size").number(size)? })
}

#[async_trait]
impl Inspection for Index {
    async fn list_packs(&self, after: PackId, limit: u32) -> Result<Vec<PackRow>> {
        asking!(self, |connection| packs(connection, after, limit).await)
    }

    async fn find_packs(&self, names: &[PackName]) -> Result<Vec<Option<PackRow>>> {
        asking!(self, |connection| find_packs(connection, names).await)
    }

    async fn list_pack_chunks(&self, pack: PackId) -> Result<Vec<ChunkRow>> {
        asking!(self, |connection| pack_chunks(connection, pack).await)
    }

    async fn examine_chunks(&self, runs: &ChunkRuns) -> Result<Vec<ChunkRow>> {
        asking!(self, |connection| examine(connection, runs).await)
    }

    async fn list_nars(&self, after: NarId, limit: u32) -> Result<Vec<NarRow>> {
        asking!(self, |connection| nars(connection, after, limit).await)
    }

    async fn list_nar_paths(&self, nar: NarId, limit: u32) -> Result<Vec<(CacheId, StorePath)>> {
        asking!(self, |connection| nar_paths(connection, nar, limit).await)
    }

    async fn list_path_links(
        &self,
        cache: CacheId,
        after: Option<StorePathHash>,
        limit: u32,
    ) -> Result<Vec<PathLinks>> {
        asking!(self, |connection| path_links(connection, cache, after, limit).await)
    }

    async fn list_documents(
        &self,
        cache: CacheId,
        after: Option<(DocumentKind, &str)>,
        limit: u32,
    ) -> Result<Vec<(DocumentKind, String, Document)>> {
        asking!(self, |connection| documents(connection, cache, after, limit).await)
    }

    async fn set_listing(&self, nar: NarId, was: Option<&ChunkRuns>, listing: Option<&ChunkRuns>) -> Result<bool> {
        writing!(self, |transaction| set_listing(transaction, nar, was, listing).await)
    }

    async fn drop_document(&self, cache: CacheId, kind: DocumentKind, name: &str, was: &ChunkRuns) -> Result<bool> {
        writing!(self, |transaction| drop_document(transaction, cache, kind, name, was).await)
    }

    async fn drop_path_without_nar(&self, cache: CacheId, hash: &StorePathHash) -> Result<bool> {
        writing!(self, |transaction| drop_path_without_nar(transaction, cache, hash).await)
    }

    async fn drop_empty_pack(&self, pack: PackId) -> Result<bool> {
        writing!(self, |transaction| drop_empty_pack(transaction, pack).await)
    }

    async fn quarantined_nars(&self) -> Result<u64> {
        asking!(self, |connection| quarantined(connection).await)
    }

    async fn scrub_progress(&self) -> Result<ScrubProgress> {
        asking!(self, |connection| scrub_progress(connection).await)
    }

    async fn list_path_sizes(&self, cache: CacheId, after: Option<StorePathHash>, limit: u32) -> Result<Vec<PathSize>> {
        asking!(self, |connection| path_sizes(connection, cache, after, limit).await)
    }

    async fn list_chunk_sizes(&self, after: ChunkId, limit: u32) -> Result<Vec<ChunkSize>> {
        asking!(self, |connection| chunk_sizes(connection, after, limit).await)
    }

    async fn keep_scrub_progress(&self, progress: &ScrubProgress) -> Result<()> {
        writing_beside!(self, |transaction| keep_scrub_progress(transaction, progress).await)
    }

    async fn list_censuses(&self, days: u32) -> Result<Vec<Census>> {
        asking!(self, |connection| censuses(connection, days).await)
    }

    async fn keep_census(&self, census: &Census) -> Result<()> {
        writing_beside!(self, |transaction| keep_census(transaction, census).await)
    }

    async fn add_traffic(&self, traffic: &[Traffic]) -> Result<()> {
        noting!(self, |transaction| add_traffic(transaction, traffic).await)
    }

    async fn list_traffic(&self, day: i64) -> Result<Vec<Traffic>> {
        asking!(self, |connection| traffic(connection, day).await)
    }
}

async fn packs(connection: &mut Connection, after: PackId, limit: u32) -> Result<Vec<PackRow>> {
    let limit = i64::from(limit);
    let rows =
        sqlx::query_file!("../sql/common/pack_list.sql", after.0, limit).fetch_all(connection).await.map_err(failed)?;
    rows.into_iter().map(|row| pack_row(row.id, &row.name, row.size)).collect()
}

async fn find_packs(connection: &mut Connection, names: &[PackName]) -> Result<Vec<Option<PackRow>>> {
    let mut found = vec![None; names.len()];
    for (batch, found) in names.chunks(BATCH).zip(found.chunks_mut(BATCH)) {
        let asked = json(&batch.iter().map(|name| hex(&name.0)).collect::<Vec<_>>())?;
        let rows = sqlx::query_file!("sql/pack_find.sql", asked).fetch_all(&mut *connection).await.map_err(failed)?;
        for row in rows {
            let position: usize = Column("pack", "name").number(row.position)?;
            found[position] = Some(pack_row(row.id, &row.name, row.size)?);
        }
    }
    Ok(found)
}

async fn pack_chunks(connection: &mut Connection, pack: PackId) -> Result<Vec<ChunkRow>> {
    let rows = sqlx::query_file_as!(Chunk, "../sql/common/pack_chunks.sql", pack.0)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(ChunkRow::try_from).collect()
}

async fn examine(connection: &mut Connection, runs: &ChunkRuns) -> Result<Vec<ChunkRow>> {
    let mut found = Vec::new();
    for batch in runs.runs().chunks(BATCH) {
        let ranges: Vec<_> = batch.iter().map(|&(first, length)| (first, first + i64::from(length) - 1)).collect();
        let ranges = json(&ranges)?;
        let rows = sqlx::query_file_as!(Chunk, "sql/chunk_examine.sql", ranges)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        for row in rows {
            found.push(row.try_into()?);
        }
    }
    Ok(found)
}

async fn nars(connection: &mut Connection, after: NarId, limit: u32) -> Result<Vec<NarRow>> {
    let limit = i64::from(limit);
    let rows =
        sqlx::query_file!("../sql/common/nar_list.sql", after.0, limit).fetch_all(connection).await.map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            Ok(NarRow {
                id: NarId(row.id),
                nar_hash: NarHash::from_bytes(Column("nar", "hash").bytes(&row.hash)?),
                nar_size: Column("nar", "size").number(row.size)?,
                file_hash: FileHash::from_bytes(Column("nar", "file_hash").bytes(&row.file_hash)?),
                file_size: Column("nar", "file_size").number(row.file_size)?,
                manifest: ChunkRuns::decode(&row.manifest),
                listing: row.listing.as_deref().map(ChunkRuns::decode),
                is_quarantined: row.quarantined_at.is_some(),
            })
        })
        .collect()
}

async fn nar_paths(connection: &mut Connection, nar: NarId, limit: u32) -> Result<Vec<(CacheId, StorePath)>> {
    let limit = i64::from(limit);
    let rows =
        sqlx::query_file!("../sql/common/nar_paths.sql", nar.0, limit).fetch_all(connection).await.map_err(failed)?;
    rows.into_iter().map(|row| Ok((CacheId(row.cache_id), store_path(&row.hash, &row.name)?))).collect()
}

async fn path_links(
    connection: &mut Connection,
    cache: CacheId,
    after: Option<StorePathHash>,
    limit: u32,
) -> Result<Vec<PathLinks>> {
    let limit = i64::from(limit);
    let after = after.as_ref().map_or(&[][..], |hash| hash.as_bytes());
    let rows = sqlx::query_file!("../sql/common/path_links.sql", cache.0, after, limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            Ok(PathLinks {
                path: store_path(&row.hash, &row.name)?,
                nar: NarId(row.nar_id),
                has_nar: row.known_nar.is_some(),
                references: Column("path", "refs").words(&row.refs)?,
            })
        })
        .collect()
}

async fn documents(
    connection: &mut Connection,
    cache: CacheId,
    after: Option<(DocumentKind, &str)>,
    limit: u32,
) -> Result<Vec<(DocumentKind, String, Document)>> {
    let limit = i64::from(limit);
    let (kind, name) = after.map_or(("", ""), |(kind, name)| (kind.as_str(), name));
    let rows = sqlx::query_file!("../sql/common/document_list.sql", cache.0, kind, name, limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            let unknown = || Column("document", "kind").wrong(format_args!("{:?} is no kind", row.kind));
            let manifest = Column("document", "manifest").runs(&row.manifest)?;
            let size = Column("document", "size").number(row.size)?;
            let kind = DocumentKind::of_str(&row.kind).ok_or_else(unknown)?;
            Ok((kind, row.name, Document { manifest, size }))
        })
        .collect()
}

async fn set_listing(
    connection: &mut Connection,
    nar: NarId,
    was: Option<&ChunkRuns>,
    listing: Option<&ChunkRuns>,
) -> Result<bool> {
    let (was, listing) = (was.map(ChunkRuns::encode), listing.map(ChunkRuns::encode));
    let done = sqlx::query_file!("../sql/common/nar_set_listing.sql", nar.0, was, listing)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

async fn drop_document(
    connection: &mut Connection,
    cache: CacheId,
    kind: DocumentKind,
    name: &str,
    was: &ChunkRuns,
) -> Result<bool> {
    let (kind, was) = (kind.as_str(), was.encode());
    let done = sqlx::query_file!("../sql/common/document_drop.sql", cache.0, kind, name, was)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

async fn drop_path_without_nar(connection: &mut Connection, cache: CacheId, hash: &StorePathHash) -> Result<bool> {
    let hash = &hash.as_bytes()[..];
    let done = sqlx::query_file!("../sql/common/path_drop_without_nar.sql", cache.0, hash)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

async fn drop_empty_pack(connection: &mut Connection, pack: PackId) -> Result<bool> {
    let done =
        sqlx::query_file!("../sql/common/pack_drop_empty.sql", pack.0).execute(connection).await.map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

async fn path_sizes(
    connection: &mut Connection,
    cache: CacheId,
    after: Option<StorePathHash>,
    limit: u32,
) -> Result<Vec<PathSize>> {
    let limit = i64::from(limit);
    let after = after.as_ref().map_or(&[][..], |hash| hash.as_bytes());
    let rows = sqlx::query_file!("../sql/common/path_sizes.sql", cache.0, after, limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            Ok(PathSize {
                path: store_path(&row.hash, &row.name)?,
                nar: NarId(row.nar_id),
                nar_size: Column("nar", "size").number(row.size)?,
                file_size: Column("nar", "file_size").number(row.file_size)?,
                manifest: ChunkRuns::decode(&row.manifest).unwrap_or_default(),
                created_at: Timestamp(row.created_at),
            })
        })
        .collect()
}

async fn chunk_sizes(connection: &mut Connection, after: ChunkId, limit: u32) -> Result<Vec<ChunkSize>> {
    let limit = i64::from(limit);
    let rows = sqlx::query_file!("../sql/common/chunk_sizes.sql", after.0, limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            Ok(ChunkSize {
                id: ChunkId(row.id),
                stored_size: Column("chunk", "stored_size").number(row.stored_size)?,
                size: Column("chunk", "size").number(row.size)?,
            })
        })
        .collect()
}

async fn keep_scrub_progress(connection: &mut Connection, progress: &ScrubProgress) -> Result<()> {
    let read_bytes = Column("scrub", "read_bytes").integer(progress.read_bytes)?;
    let found = Column("scrub", "found").integer(progress.found)?;
    let last_found = Column("scrub", "last_found").integer(progress.last_found)?;
    sqlx::query_file!(
        "../sql/common/scrub_put.sql",
        progress.after_pack,
        progress.after_nar,
        progress.began_at,
        read_bytes,
        found,
        progress.ended_at,
        last_found
    )
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn censuses(connection: &mut Connection, days: u32) -> Result<Vec<Census>> {
    let days = i64::from(days);
    let rows = sqlx::query_file!("../sql/common/census_list.sql", days).fetch_all(connection).await.map_err(failed)?;
    Ok(rows.into_iter().map(|row| Census { taken_at: Timestamp(row.taken_at), figures: row.figures }).collect())
}

async fn keep_census(connection: &mut Connection, census: &Census) -> Result<()> {
    let (day, taken_at) = (census.taken_at.0.div_euclid(DAY), census.taken_at.0);
    sqlx::query_file!("../sql/common/census_put.sql", day, taken_at, census.figures)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn add_traffic(connection: &mut Connection, traffic: &[Traffic]) -> Result<()> {
    if traffic.is_empty() {
        return Ok(());
    }
    for entry in traffic {
        let hits = Column("traffic", "hits").integer(entry.hits)?;
        let misses = Column("traffic", "misses").integer(entry.misses)?;
        sqlx::query_file!("../sql/common/traffic_add.sql", entry.day, entry.cache.0, hits, misses)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

async fn traffic(connection: &mut Connection, day: i64) -> Result<Vec<Traffic>> {
    let rows = sqlx::query_file!("../sql/common/traffic_list.sql", day).fetch_all(connection).await.map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            Ok(Traffic {
                cache: CacheId(row.cache_id),
                day: row.day,
                hits: Column("traffic", "hits").number(row.hits)?,
                misses: Column("traffic", "misses").number(row.misses)?,
            })
        })
        .collect()
}

async fn quarantined(connection: &mut Connection) -> Result<u64> {
    let row =
        sqlx::query_file!("../sql/common/nar_quarantined_count.sql").fetch_one(connection).await.map_err(failed)?;
    Column("nar", "quarantined_at").number(row.count)
}

async fn scrub_progress(connection: &mut Connection) -> Result<ScrubProgress> {
    let row = sqlx::query_file!("../sql/common/scrub_find.sql").fetch_optional(connection).await.map_err(failed)?;
    let Some(row) = row else { return Ok(ScrubProgress::default()) };
    Ok(ScrubProgress {
        after_pack: row.after_pack,
        after_nar: row.after_nar,
        began_at: row.began_at,
        read_bytes: Column("scrub", "read_bytes").number(row.read_bytes)?,
        found: Column("scrub", "found").number(row.found)?,
        ended_at: row.ended_at,
        last_found: Column("scrub", "last_found").number(row.last_found)?,
    })
}
