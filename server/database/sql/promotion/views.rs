//! What a tag shows, and where paths are to be seen.

use database::{CacheId, NarFile, PathRow, Result, RevisionId, View};
use formats::{FileHash, NarHash, StorePath, StorePathHash};
use protocol::{
    CacheName, Timestamp,
    promotion::{Holding, PathPromotion, Revision, TagName},
};

use super::super::{
    caches::CacheRow,
    paths::{NarRow, PathColumns},
};
use crate::{column::Column, dialect::Connection, error::failed};

pub(super) async fn find(connection: &mut Connection, cache: &CacheName, tag: &TagName) -> Result<Option<View>> {
    let (cache, tag) = (cache.as_str(), tag.as_str());
    let row =
        sqlx::query_file!("sql/view_find.sql", cache, tag).fetch_optional(&mut *connection).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(View {
        visibility: Column("tag", "visibility").text(&row.visibility)?,
        revision: row.current_id.map(RevisionId),
        keys: Column("promotion_key", "secret").words(&row.promotion_keys.unwrap_or_default())?,
        cache: CacheRow {
            id: row.id,
            name: row.name,
            is_public: row.is_public,
            store_dir: row.store_dir,
            priority: row.priority,
            upstream_key_names: row.upstream_key_names,
            retention: row.retention,
            keys: row.keys,
        }
        .try_into()?,
    }))
}

pub(super) async fn path(
    connection: &mut Connection,
    cache: CacheId,
    revision: RevisionId,
    hash: &StorePathHash,
) -> Result<Option<PathRow>> {
    let key = &hash.as_bytes()[..];
    let row = sqlx::query_file_as!(PathColumns, "sql/promoted_path.sql", cache.0, revision.0, key)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    row.map(|row| row.into_path(*hash)).transpose()
}

pub(super) async fn nar(
    connection: &mut Connection,
    cache: CacheId,
    revision: RevisionId,
    file_hash: &FileHash,
) -> Result<Option<NarFile>> {
    let key = &file_hash.as_bytes()[..];
    let row = sqlx::query_file_as!(NarRow, "sql/promoted_nar.sql", cache.0, revision.0, key)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    row.map(NarFile::try_from).transpose()
}

pub(super) async fn paths(
    connection: &mut Connection,
    cache: CacheId,
    after: Option<StorePathHash>,
    limit: u32,
) -> Result<Vec<StorePathHash>> {
    let after = after.map_or(Vec::new(), |hash| hash.as_bytes().to_vec());
    let limit = i64::from(limit);
    let rows = sqlx::query_file!("../sql/common/promoted_list.sql", cache.0, after, limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(|row| Ok(StorePathHash::from_bytes(Column("promoted", "hash").bytes(&row.hash)?))).collect()
}

pub(super) async fn holdings(connection: &mut Connection, hash: &StorePathHash) -> Result<Vec<(StorePath, Holding)>> {
    let key = &hash.as_bytes()[..];
    let rows =
        sqlx::query_file!("../sql/common/path_holdings.sql", key).fetch_all(&mut *connection).await.map_err(failed)?;
    let held = rows.into_iter().map(|row| {
        let path = StorePath::new(*hash, Column("path", "name").text(&row.name)?);
        Ok((
            path,
            Holding {
                cache: Column("cache", "name").text(&row.cache_name)?,
                is_public: row.is_public != 0,
                nar_hash: NarHash::from_bytes(Column("nar", "hash").bytes(&row.nar_hash)?),
                pushed_by: row.pushed_by,
                pushed_at: Timestamp(row.created_at),
                last_used_at: Timestamp(row.last_used_at),
                quarantined_at: row.quarantined_at.map(Timestamp),
            },
        ))
    });
    held.collect()
}

pub(super) async fn of_path(
    connection: &mut Connection,
    cache: CacheId,
    hash: &StorePathHash,
) -> Result<Vec<PathPromotion>> {
    let hash = &hash.as_bytes()[..];
    let rows = sqlx::query_file!("../sql/common/path_promotions.sql", cache.0, hash)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let mut promotions: Vec<PathPromotion> = Vec::new();
    for row in rows {
        let revision: Revision = Column("revision", "body").json(&row.body)?;
        let promotion = PathPromotion {
            tag: Column("tag", "name").text(&row.name)?,
            visibility: Column("tag", "visibility").text(&row.visibility)?,
            revision: row.number,
            is_current: row.current_id == Some(row.id),
            moved_by: revision.moved_by,
            at: revision.at,
        };
        // A path may be in the closures of several claims.
        if promotions.last() != Some(&promotion) {
            promotions.push(promotion);
        }
    }
    Ok(promotions)
}
