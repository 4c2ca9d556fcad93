//! What a cache may hold.

use async_trait::async_trait;
use database::{CacheId, CacheLimits, Limits, Result};

use super::typed;
use crate::{column::Column, dialect::Index, error::failed};

#[async_trait]
impl Limits for Index {
    async fn find_limits(&self, cache: CacheId) -> Result<CacheLimits> {
        asking!(self, |connection| typed(async {
            let row = sqlx::query_file!("../sql/common/limits_find.sql", cache.0)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            let Some(row) = row else { return Ok(CacheLimits::default()) };
            let bytes = |column, value: Option<i64>| value.map(|v| Column("cache_limit", column).number(v)).transpose();
            Ok(CacheLimits {
                max_size: bytes("max_size", row.max_size)?,
                quota: bytes("quota", row.quota)?,
                is_read_only: row.is_read_only != 0,
            })
        })
        .await)
    }

    async fn set_limits(&self, cache: CacheId, limits: &CacheLimits) -> Result<()> {
        writing!(self, |connection| typed(async {
            let bytes =
                |column, value: Option<u64>| value.map(|v| Column("cache_limit", column).integer(v)).transpose();
            let (max_size, quota) = (bytes("max_size", limits.max_size)?, bytes("quota", limits.quota)?);
            let is_read_only = i64::from(limits.is_read_only);
            sqlx::query_file!("../sql/common/limits_put.sql", cache.0, max_size, quota, is_read_only)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(())
        })
        .await)
    }

    async fn used_bytes(&self, cache: CacheId) -> Result<u64> {
        asking!(self, |connection| typed(async {
            let row = sqlx::query_file!("../sql/common/used_bytes.sql", cache.0)
                .fetch_one(&mut *connection)
                .await
                .map_err(failed)?;
            Column("nar", "file_size").number(row.bytes)
        })
        .await)
    }
}
