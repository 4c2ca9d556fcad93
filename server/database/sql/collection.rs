//! What the collector reads and writes.

use async_trait::async_trait;
use database::{
    CacheId, ChunkId, CollectedCache, Collection, DocumentAge, DocumentKind, Grave, NarChunks, NarId, PackId, PackName,
    PackUse, PackedChunk, PathAge, PathReferences, PathWeight, Removal, Result, Rewrite, UploadAge, Watermark,
};
use formats::{FileHash, NarHash, StorePath, StorePathHash};
use protocol::{ChunkHash, Timestamp};

use super::typed;
use crate::{column::Column, dialect::Index, error::failed};

/// A key in front of all others.
fn from_hash(after: Option<StorePathHash>) -> Vec<u8> {
    after.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default()
}

fn from_name(after: Option<PackName>) -> Vec<u8> {
    after.map(|name| name.0.to_vec()).unwrap_or_default()
}

fn path_hash(bytes: &[u8]) -> Result<StorePathHash> {
    Ok(StorePathHash::from_bytes(Column("path", "hash").bytes(bytes)?))
}

fn pack_name(bytes: &[u8]) -> Result<PackName> {
    Ok(PackName(Column("pack", "name").bytes(bytes)?))
}

/// Runs a statement for each of some things in one transaction; how many rows were written.
macro_rules! each_written {
    ($index:expr, $thing:pat in $things:expr, $file:literal, $($value:expr),+) => {
        writing!($index, |connection| typed(async {
            let mut written = 0;
            for $thing in $things {
                written += sqlx::query_file!($file, $($value),+)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?
                    .rows_affected();
            }
            Ok(written)
        })
        .await)
    };
}

#[async_trait]
impl Collection for Index {
    async fn collected_caches(&self) -> Result<Vec<CollectedCache>> {
        asking!(self, |connection| typed(async {
            let rows = sqlx::query_file!("../sql/common/collected_cache_list.sql")
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    Ok(CollectedCache {
                        id: CacheId(row.id),
                        name: Column("cache", "name").text(&row.name)?,
                        retention: row.retention.map(|s| Column("cache", "retention").number(s)).transpose()?,
                        deleted_at: row.deleted_at.map(Timestamp),
                        max_size: row.max_size.map(|s| Column("cache_limit", "max_size").number(s)).transpose()?,
                    })
                })
                .collect()
        })
        .await)
    }

    async fn scan_paths(&self, cache: CacheId, after: Option<StorePathHash>, limit: u32) -> Result<Vec<PathAge>> {
        asking!(self, |connection| typed(async {
            let after = from_hash(after);
            let rows = sqlx::query_file!("../sql/common/path_scan.sql", cache.0, after, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    Ok(PathAge {
                        hash: path_hash(&row.hash)?,
                        last_used_at: Timestamp(row.last_used_at),
                        condemned_at: row.condemned_at.map(Timestamp),
                    })
                })
                .collect()
        })
        .await)
    }

    async fn scan_references(
        &self,
        cache: CacheId,
        after: Option<StorePathHash>,
        limit: u32,
    ) -> Result<Vec<PathReferences>> {
        asking!(self, |connection| typed(async {
            let after = from_hash(after);
            let rows = sqlx::query_file!("../sql/common/path_scan_refs.sql", cache.0, after, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    let hash = path_hash(&row.hash)?;
                    let references: Vec<StorePath> = Column("path", "refs").words(&row.refs)?;
                    let others = references.iter().map(|path| *path.hash()).filter(|other| *other != hash);
                    Ok(PathReferences {
                        path: StorePath::new(hash, Column("path", "name").text(&row.name)?),
                        references: others.collect(),
                    })
                })
                .collect()
        })
        .await)
    }

    async fn scan_sizes(&self, cache: CacheId, after: Option<StorePathHash>, limit: u32) -> Result<Vec<PathWeight>> {
        asking!(self, |connection| typed(async {
            let after = from_hash(after);
            let rows = sqlx::query_file!("../sql/common/path_scan_sizes.sql", cache.0, after, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    let file_size = Column("nar", "file_size").number(row.file_size)?;
                    Ok(PathWeight { hash: path_hash(&row.hash)?, nar: NarId(row.nar_id), file_size })
                })
                .collect()
        })
        .await)
    }

    async fn condemn_paths(&self, cache: CacheId, paths: &[(StorePathHash, Timestamp)], now: Timestamp) -> Result<()> {
        writing!(self, |connection| typed(async {
            for (hash, last_used_at) in paths {
                let hash = &hash.as_bytes()[..];
                sqlx::query_file!("../sql/common/path_condemn.sql", cache.0, hash, now.0, last_used_at.0)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
            }
            Ok(())
        })
        .await)
    }

    async fn spare_paths(&self, cache: CacheId, paths: &[StorePathHash]) -> Result<Vec<bool>> {
        writing!(self, |connection| typed(async {
            let mut there = Vec::with_capacity(paths.len());
            for hash in paths {
                let hash = &hash.as_bytes()[..];
                let done = sqlx::query_file!("../sql/common/path_spare.sql", cache.0, hash)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
                there.push(done.rows_affected() > 0);
            }
            Ok(there)
        })
        .await)
    }

    async fn remove_paths(
        &self,
        cache: CacheId,
        paths: &[StorePathHash],
        condemned: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<bool>> {
        writing!(self, |connection| typed(async {
            let mut removed = Vec::with_capacity(paths.len());
            for hash in paths {
                let key = &hash.as_bytes()[..];
                let row = sqlx::query_file!("../sql/common/path_remove.sql", cache.0, key, condemned.0)
                    .fetch_optional(&mut *connection)
                    .await
                    .map_err(failed)?;
                removed.push(row.is_some());
                let Some(row) = row else { continue };
                let path = StorePath::new(*hash, Column("path", "name").text(&row.name)?).to_string();
                let listing = hash.to_string();
                sqlx::query_file!("../sql/common/listing_remove.sql", cache.0, listing)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
                sqlx::query_file!("../sql/common/removal_insert.sql", cache.0, path, now.0)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
            }
            Ok(removed)
        })
        .await)
    }

    async fn strip_cache(&self, cache: CacheId, keys: bool) -> Result<()> {
        writing!(self, |connection| typed(async {
            sqlx::query_file!("../sql/common/cache_strip_pins.sql", cache.0)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            sqlx::query_file!("../sql/common/cache_strip_limits.sql", cache.0)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            if keys {
                sqlx::query_file!("../sql/common/cache_key_delete.sql", cache.0)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
            }
            Ok(())
        })
        .await)
    }

    async fn forget_seen_chunks(&self, cache: CacheId, limit: u32) -> Result<u64> {
        writing!(self, |connection| typed(async {
            let done = sqlx::query_file!("../sql/common/chunk_cache_forget.sql", cache.0, i64::from(limit))
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(done.rows_affected())
        })
        .await)
    }

    async fn pending_removals(&self, limit: u32) -> Result<Vec<Removal>> {
        asking!(self, |connection| typed(async {
            let rows = sqlx::query_file!("../sql/common/removal_list.sql", i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    Ok(Removal {
                        id: row.id,
                        cache: row.cache_name,
                        path: Column("removal", "path").text(&row.path)?,
                        removed_at: Timestamp(row.removed_at),
                    })
                })
                .collect()
        })
        .await)
    }

    async fn forget_removals(&self, removals: &[Removal]) -> Result<()> {
        writing!(self, |connection| typed(async {
            for removal in removals {
                sqlx::query_file!("../sql/common/removal_forget.sql", removal.id)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
            }
            Ok(())
        })
        .await)
    }

    async fn scan_uploads(&self, after: Option<(CacheId, String)>, limit: u32) -> Result<Vec<UploadAge>> {
        let (cache, name) = after.unwrap_or((CacheId(0), String::new()));
        asking!(self, |connection| typed(async {
            let rows = sqlx::query_file!("../sql/common/upload_scan.sql", cache.0, name, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            let upload = rows.into_iter().map(|row| UploadAge {
                cache: CacheId(row.cache_id),
                file_name: row.file_name,
                created_at: Timestamp(row.created_at),
                is_used: row.is_used != 0,
            });
            Ok(upload.collect())
        })
        .await)
    }

    async fn remove_uploads(&self, uploads: &[UploadAge]) -> Result<u64> {
        writing!(self, |connection| typed(async {
            let mut removed = 0;
            for upload in uploads {
                let created_at = upload.created_at.0;
                removed +=
                    sqlx::query_file!("../sql/common/upload_remove.sql", upload.cache.0, upload.file_name, created_at)
                        .execute(&mut *connection)
                        .await
                        .map_err(failed)?
                        .rows_affected();
            }
            Ok(removed)
        })
        .await)
    }

    async fn scan_documents(
        &self,
        after: Option<(CacheId, DocumentKind, String)>,
        limit: u32,
    ) -> Result<Vec<DocumentAge>> {
        asking!(self, |connection| typed(async {
            let (cache, kind, name) = match &after {
                Some((cache, kind, name)) => (cache.0, kind.as_str(), name.as_str()),
                None => (0, "", ""),
            };
            let rows = sqlx::query_file!("../sql/common/document_scan.sql", cache, kind, name, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    let kind = DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == row.kind);
                    Ok(DocumentAge {
                        cache: CacheId(row.cache_id),
                        kind: kind.ok_or_else(|| Column("document", "kind").wrong(&row.kind))?,
                        name: row.name,
                        created_at: Timestamp(row.created_at),
                        manifest: Column("document", "manifest").runs(&row.manifest)?,
                    })
                })
                .collect()
        })
        .await)
    }

    async fn remove_documents(&self, documents: &[DocumentAge]) -> Result<u64> {
        writing!(self, |connection| typed(async {
            let mut removed = 0;
            for document in documents {
                let (kind, created_at) = (document.kind.as_str(), document.created_at.0);
                removed += sqlx::query_file!(
                    "../sql/common/document_remove.sql",
                    document.cache.0,
                    kind,
                    document.name,
                    created_at
                )
                .execute(&mut *connection)
                .await
                .map_err(failed)?
                .rows_affected();
            }
            Ok(removed)
        })
        .await)
    }

    async fn scan_nars(&self, after: Option<NarId>, limit: u32) -> Result<Vec<NarChunks>> {
        asking!(self, |connection| typed(async {
            let after = after.map_or(0, |nar| nar.0);
            let rows = sqlx::query_file!("../sql/common/nar_scan.sql", after, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    Ok(NarChunks {
                        id: NarId(row.id),
                        is_used: row.is_used != 0,
                        is_quarantined: row.quarantined_at.is_some(),
                        manifest: Column("nar", "manifest").runs(&row.manifest)?,
                        listing: row.listing.map(|listing| Column("nar", "listing").runs(&listing)).transpose()?,
                    })
                })
                .collect()
        })
        .await)
    }

    async fn remove_nars(&self, nars: &[NarId]) -> Result<u64> {
        each_written!(self, nar in nars, "../sql/common/nar_remove.sql", nar.0)
    }

    async fn last_rows(&self) -> Result<Watermark> {
        asking!(self, |connection| typed(async {
            let row =
                sqlx::query_file!("../sql/common/last_rows.sql").fetch_one(&mut *connection).await.map_err(failed)?;
            Ok(Watermark { chunk: row.chunk, pack: row.pack })
        })
        .await)
    }

    async fn note_watermark(&self, watermark: Watermark, now: Timestamp) -> Result<()> {
        writing!(self, |connection| typed(async {
            sqlx::query_file!("../sql/common/watermark_put.sql", now.0, watermark.chunk, watermark.pack)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(())
        })
        .await)
    }

    async fn watermark_at(&self, at: Timestamp) -> Result<Watermark> {
        writing!(self, |connection| typed(async {
            let row = sqlx::query_file!("../sql/common/watermark_find.sql", at.0)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            let Some(row) = row else { return Ok(Watermark::default()) };
            sqlx::query_file!("../sql/common/watermark_forget.sql", row.at)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(Watermark { chunk: row.chunk_id, pack: row.pack_id })
        })
        .await)
    }

    async fn scan_chunks(&self, after: i64, last: i64, limit: u32) -> Result<Vec<(i64, i64)>> {
        asking!(self, |connection| typed(async {
            let rows = sqlx::query_file!("../sql/common/chunk_scan.sql", after, last, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(rows.into_iter().map(|row| (row.first, row.last)).collect())
        })
        .await)
    }

    async fn condemn_chunks(&self, ranges: &[(i64, i64)], now: Timestamp) -> Result<u64> {
        each_written!(self, (first, last) in ranges, "../sql/common/chunk_condemn.sql", first, last, now.0)
    }

    async fn condemned_chunks(&self, after: i64, limit: u32) -> Result<Vec<(ChunkId, Timestamp)>> {
        asking!(self, |connection| typed(async {
            let rows = sqlx::query_file!("../sql/common/chunk_condemned.sql", after, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(rows.into_iter().map(|row| (ChunkId(row.id), Timestamp(row.condemned_at))).collect())
        })
        .await)
    }

    async fn spare_chunks(&self, ranges: &[(i64, i64)]) -> Result<u64> {
        each_written!(self, (first, last) in ranges, "../sql/common/chunk_spare.sql", first, last)
    }

    async fn remove_chunks(&self, ranges: &[(i64, i64)], condemned: Timestamp) -> Result<u64> {
        each_written!(self, (first, last) in ranges, "../sql/common/chunk_remove.sql", first, last, condemned.0)
    }

    async fn damaged_chunks(&self, after: i64, limit: u32) -> Result<Vec<ChunkId>> {
        asking!(self, |connection| typed(async {
            let rows = sqlx::query_file!("../sql/common/chunk_damaged.sql", after, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(rows.into_iter().map(|row| ChunkId(row.id)).collect())
        })
        .await)
    }

    async fn scan_packs(&self, after: Option<PackId>, limit: u32) -> Result<Vec<PackUse>> {
        asking!(self, |connection| typed(async {
            let after = after.map_or(0, |pack| pack.0);
            let rows = sqlx::query_file!("../sql/common/pack_scan.sql", after, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            let bytes = |column, value| Column("pack", column).number(value);
            rows.into_iter()
                .map(|row| {
                    Ok(PackUse {
                        id: PackId(row.id),
                        name: pack_name(&row.name)?,
                        size: bytes("size", row.size)?,
                        live_bytes: bytes("size", row.live_bytes)?,
                        live_chunks: bytes("id", row.live_chunks)?,
                        damaged_chunks: bytes("id", row.damaged_chunks)?,
                        examined_live: row.examined_live.map(|live| bytes("examined_live", live)).transpose()?,
                    })
                })
                .collect()
        })
        .await)
    }

    async fn scan_pack_names(&self, after: Option<PackName>, limit: u32) -> Result<Vec<PackName>> {
        asking!(self, |connection| typed(async {
            let after = from_name(after);
            let rows = sqlx::query_file!("../sql/common/pack_scan_names.sql", after, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter().map(|row| pack_name(&row.name)).collect()
        })
        .await)
    }

    async fn find_pack(&self, name: PackName) -> Result<Option<PackId>> {
        asking!(self, |connection| typed(async {
            let name = &name.0[..];
            let row = sqlx::query_file!("../sql/common/pack_find.sql", name)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(row.map(|row| PackId(row.id)))
        })
        .await)
    }

    async fn chunks_of_pack(&self, pack: PackId) -> Result<Vec<PackedChunk>> {
        asking!(self, |connection| typed(async {
            let rows = sqlx::query_file!("../sql/common/pack_frames.sql", pack.0)
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    Ok(PackedChunk {
                        id: ChunkId(row.id),
                        hash: ChunkHash(Column("chunk", "hash").bytes(&row.hash)?),
                        offset: Column("chunk", "pack_offset").number(row.pack_offset)?,
                        stored_size: Column("chunk", "stored_size").number(row.stored_size)?,
                        size: Column("chunk", "size").number(row.size)?,
                        check: Column("chunk", "check_sum").number(row.check_sum)?,
                        is_damaged: row.damaged_at.is_some(),
                    })
                })
                .collect()
        })
        .await)
    }

    async fn note_examined(&self, pack: PackId, live_bytes: u64) -> Result<()> {
        writing!(self, |connection| typed(async {
            let live = Column("pack", "examined_live").integer(live_bytes)?;
            sqlx::query_file!("../sql/common/pack_examined.sql", pack.0, live)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(())
        })
        .await)
    }

    async fn rewrite_packs(&self, rewrite: &Rewrite, now: Timestamp) -> Result<u64> {
        writing!(self, |connection| typed(async {
            if let Some((name, size)) = &rewrite.pack {
                let (name, size) = (&name.0[..], Column("pack", "size").integer(*size)?);
                let new = sqlx::query_file!("../sql/common/pack_insert.sql", name, size)
                    .fetch_one(&mut *connection)
                    .await
                    .map_err(failed)?
                    .id;
                for run in &rewrite.moved {
                    sqlx::query_file!(
                        "../sql/common/chunk_move.sql",
                        run.first.0,
                        run.last.0,
                        run.from.0,
                        new,
                        run.shift
                    )
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
                }
            }
            let mut doomed = 0;
            for old in &rewrite.old {
                let removed = sqlx::query_file!("../sql/common/pack_remove.sql", old.0)
                    .fetch_optional(&mut *connection)
                    .await
                    .map_err(failed)?;
                let Some(pack) = removed else { continue };
                sqlx::query_file!("../sql/common/grave_bury.sql", pack.name, pack.size, now.0)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
                doomed += 1;
            }
            Ok(doomed)
        })
        .await)
    }

    async fn graves(&self, after: Option<PackName>, limit: u32) -> Result<Vec<Grave>> {
        asking!(self, |connection| typed(async {
            let after = from_name(after);
            let rows = sqlx::query_file!("../sql/common/grave_list.sql", after, i64::from(limit))
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    Ok(Grave {
                        name: PackName(Column("grave", "name").bytes(&row.name)?),
                        size: Column("grave", "size").number(row.size)?,
                        seen_at: Timestamp(row.seen_at),
                        doomed_at: row.doomed_at.map(Timestamp),
                        gone_at: row.gone_at.map(Timestamp),
                    })
                })
                .collect()
        })
        .await)
    }

    async fn note_strays(&self, strays: &[(PackName, u64)], now: Timestamp) -> Result<()> {
        writing!(self, |connection| typed(async {
            for (name, size) in strays {
                let (name, size) = (&name.0[..], Column("grave", "size").integer(*size)?);
                sqlx::query_file!("../sql/common/grave_see.sql", name, size, now.0)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
            }
            Ok(())
        })
        .await)
    }

    async fn doom(&self, name: PackName, now: Timestamp) -> Result<bool> {
        writing!(self, |connection| typed(async {
            let name = &name.0[..];
            let done = sqlx::query_file!("../sql/common/grave_doom.sql", name, now.0)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(done.rows_affected() > 0)
        })
        .await)
    }

    async fn note_gone(&self, name: PackName, now: Timestamp) -> Result<()> {
        writing!(self, |connection| typed(async {
            let name = &name.0[..];
            sqlx::query_file!("../sql/common/grave_gone.sql", name, now.0)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(())
        })
        .await)
    }

    async fn forget_grave(&self, name: PackName) -> Result<()> {
        writing!(self, |connection| typed(async {
            let name = &name.0[..];
            sqlx::query_file!("../sql/common/grave_forget.sql", name)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(())
        })
        .await)
    }

    async fn nar_of_path(&self, cache: &str, hash: &StorePathHash) -> Result<Option<NarHash>> {
        asking!(self, |connection| typed(async {
            let hash = &hash.as_bytes()[..];
            let row = sqlx::query_file!("../sql/common/nar_of_path.sql", cache, hash)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            row.map(|row| Ok(NarHash::from_bytes(Column("nar", "hash").bytes(&row.hash)?))).transpose()
        })
        .await)
    }

    async fn file_of_nar(&self, nar: &NarHash) -> Result<Option<FileHash>> {
        asking!(self, |connection| typed(async {
            let hash = &nar.as_bytes()[..];
            let row = sqlx::query_file!("../sql/common/nar_file.sql", hash)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            row.map(|row| Ok(FileHash::from_bytes(Column("nar", "file_hash").bytes(&row.file_hash)?))).transpose()
        })
        .await)
    }

    async fn time_of_document(&self, cache: &str, kind: &str, name: &str) -> Result<Option<Timestamp>> {
        asking!(self, |connection| typed(async {
            let row = sqlx::query_file!("../sql/common/document_time.sql", cache, kind, name)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(row.map(|row| Timestamp(row.created_at)))
        })
        .await)
    }
}
