//! Paths, uploads and documents, as the collector reads and removes them.

use async_trait::async_trait;
use database::{
    CacheId, CollectedCache, DocumentAge, DocumentKind, NarId, PathAge, PathCollection, PathReferences, PathWeight,
    Removal, Result, UploadAge,
};
use formats::{FileHash, NarHash, StorePath, StorePathHash};
use protocol::Timestamp;

use super::super::typed;
use crate::{column::Column, dialect::Index, error::failed};

/// A key in front of all others.
fn from_hash(after: Option<StorePathHash>) -> Vec<u8> {
    after.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default()
}

fn path_hash(bytes: &[u8]) -> Result<StorePathHash> {
    Ok(StorePathHash::from_bytes(Column("path", "hash").bytes(bytes)?))
}

#[async_trait]
impl PathCollection for Index {
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
