//! The keys that sign the views of a cache.

use database::{CacheId, Result, UnrecordedKind};
use formats::SecretKey;

use super::unrecorded;
use crate::{column::Column, dialect::Connection, error::failed};

pub(super) async fn get_or_make(
    connection: &mut Connection,
    cache: CacheId,
    fresh: &SecretKey,
) -> Result<Vec<SecretKey>> {
    let known = list(connection, cache).await?;
    if !known.is_empty() {
        return Ok(known);
    }
    let secret = fresh.to_text();
    sqlx::query_file!("../sql/common/promotion_key_insert.sql", cache.0, 0_i64, secret)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    unrecorded(connection, cache, UnrecordedKind::Keys, cache.0).await?;
    list(connection, cache).await
}

pub(super) async fn replace(connection: &mut Connection, cache: CacheId, keys: &[SecretKey]) -> Result<()> {
    sqlx::query_file!("../sql/common/promotion_key_delete.sql", cache.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    for (position, key) in (0_i64..).zip(keys) {
        let secret = key.to_text();
        sqlx::query_file!("../sql/common/promotion_key_insert.sql", cache.0, position, secret)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    unrecorded(connection, cache, UnrecordedKind::Keys, cache.0).await
}

pub(in super::super) async fn list(connection: &mut Connection, cache: CacheId) -> Result<Vec<SecretKey>> {
    let rows = sqlx::query_file!("../sql/common/promotion_key_list.sql", cache.0)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(|row| Column("promotion_key", "secret").text(&row.secret)).collect()
}
