//! NARs and chunks, as the collector reads and removes them.

use async_trait::async_trait;
use database::{ChunkCollection, ChunkId, NarChunks, NarId, Result, Watermark};
use protocol::Timestamp;

use super::super::typed;
use crate::{column::Column, dialect::Index, error::failed};

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
impl ChunkCollection for Index {
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
}
