//! What builders saw, and how disagreement was settled.

use database::{CacheId, Result};
use formats::{NarHash, StorePathHash};
use protocol::{
    Timestamp,
    promotion::{Observation, Resolution, Seen},
};

use crate::{
    column::Column,
    dialect::Connection,
    error::failed,
    list::{BATCH, hexes},
};

pub(super) async fn observe(
    connection: &mut Connection,
    cache: CacheId,
    builder: &str,
    seen: &[Observation],
    now: Timestamp,
) -> Result<()> {
    for batch in seen.chunks(BATCH) {
        insert(connection, cache, builder, batch, now).await?;
    }
    Ok(())
}

pub(super) async fn of_paths(
    connection: &mut Connection,
    cache: CacheId,
    hashes: &[StorePathHash],
) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for batch in hashes.chunks(BATCH) {
        let asked = hexes(batch.iter().map(StorePathHash::as_bytes))?;
        let rows = sqlx::query_file!("sql/observation_find.sql", cache.0, asked)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        for row in rows {
            all.push(Seen {
                path: Column("observation", "path").text(&row.path)?,
                builder: row.builder,
                nar_hash: NarHash::from_bytes(Column("observation", "nar_hash").bytes(&row.nar_hash)?),
                at: Timestamp(row.created_at),
            });
        }
    }
    Ok(all)
}

pub(super) async fn resolutions(
    connection: &mut Connection,
    cache: CacheId,
    hashes: &[StorePathHash],
) -> Result<Vec<(StorePathHash, Resolution)>> {
    let mut all = Vec::new();
    for batch in hashes.chunks(BATCH) {
        let asked = hexes(batch.iter().map(StorePathHash::as_bytes))?;
        let rows = sqlx::query_file!("sql/resolution_find.sql", cache.0, asked)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        for row in rows {
            let hash = StorePathHash::from_bytes(Column("resolution", "hash").bytes(&row.hash)?);
            let nar_hash = NarHash::from_bytes(Column("resolution", "nar_hash").bytes(&row.nar_hash)?);
            let at = Timestamp(row.created_at);
            all.push((hash, Resolution { nar_hash, reason: row.reason, resolved_by: row.resolved_by, at }));
        }
    }
    Ok(all)
}

pub(in super::super) async fn resolve(
    connection: &mut Connection,
    cache: CacheId,
    hash: &StorePathHash,
    resolution: &Resolution,
) -> Result<()> {
    let hash = &hash.as_bytes()[..];
    let nar_hash = &resolution.nar_hash.as_bytes()[..];
    sqlx::query_file!(
        "../sql/common/resolution_put.sql",
        cache.0,
        hash,
        nar_hash,
        resolution.reason,
        resolution.resolved_by,
        resolution.at.0
    )
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    Ok(())
}

pub(in super::super) async fn insert(
    connection: &mut Connection,
    cache: CacheId,
    builder: &str,
    seen: &[Observation],
    now: Timestamp,
) -> Result<()> {
    for one in seen {
        let (hash, nar_hash) = (&one.path.hash().as_bytes()[..], &one.nar_hash.as_bytes()[..]);
        let path = one.path.to_string();
        sqlx::query_file!("../sql/common/observation_insert.sql", cache.0, hash, builder, nar_hash, path, now.0)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
