//! Packs, as the collector rewrites them, and the objects that no row names.

use async_trait::async_trait;
use database::{ChunkId, Grave, PackCollection, PackId, PackName, PackUse, PackedChunk, Result, Rewrite};
use protocol::{ChunkHash, Timestamp};

use super::super::typed;
use crate::{column::Column, dialect::Index, error::failed};

/// A key in front of all others.
fn from_name(after: Option<PackName>) -> Vec<u8> {
    after.map(|name| name.0.to_vec()).unwrap_or_default()
}

fn pack_name(bytes: &[u8]) -> Result<PackName> {
    Ok(PackName(Column("pack", "name").bytes(bytes)?))
}

#[async_trait]
impl PackCollection for Index {
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
}
