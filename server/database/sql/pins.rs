//! Pins.

use async_trait::async_trait;
use database::{CacheId, NewPin, Pin, Pins, Result};
use protocol::Timestamp;

use super::typed;
use crate::{column::Column, dialect::Index, error::failed};

#[async_trait]
impl Pins for Index {
    async fn add_pin(&self, pin: &NewPin) -> Result<Option<u32>> {
        writing!(self, |connection| typed(async {
            let hash = &pin.path.hash().as_bytes()[..];
            // Spares the path, too: it may have been condemned a while ago.
            let there = sqlx::query_file!("../sql/common/path_spare.sql", pin.cache.0, hash)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            if there.rows_affected() == 0 {
                return Ok(None);
            }
            let last = sqlx::query_file!("../sql/common/pin_last.sql", pin.cache.0, pin.name)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            let revision = match last {
                Some(last) if last.hash == hash => last.revision,
                Some(last) => last.revision + 1,
                None => 1,
            };
            let (path, expires_at) = (pin.path.to_string(), pin.expires_at.map(|at| at.0));
            sqlx::query_file!(
                "../sql/common/pin_put.sql",
                pin.cache.0,
                pin.name,
                revision,
                hash,
                path,
                pin.now.0,
                expires_at,
                pin.pinned_by
            )
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
            if let Some(keep) = pin.keep {
                let last = revision - i64::from(keep.max(1));
                sqlx::query_file!("../sql/common/pin_trim.sql", pin.cache.0, pin.name, last)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
            }
            Column("pin", "revision").number(revision).map(Some)
        })
        .await)
    }

    async fn list_pins(&self, cache: CacheId, now: Timestamp) -> Result<Vec<Pin>> {
        asking!(self, |connection| typed(async {
            let rows = sqlx::query_file!("../sql/common/pin_list.sql", cache.0, now.0)
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
            rows.into_iter()
                .map(|row| {
                    Ok(Pin {
                        name: row.name,
                        revision: Column("pin", "revision").number(row.revision)?,
                        path: Column("pin", "path").text(&row.path)?,
                        created_at: Timestamp(row.created_at),
                        expires_at: row.expires_at.map(Timestamp),
                        pinned_by: row.pinned_by,
                    })
                })
                .collect()
        })
        .await)
    }

    async fn remove_pin(&self, cache: CacheId, name: &str, revision: Option<u32>) -> Result<u64> {
        writing!(self, |connection| typed(async {
            let done = match revision {
                None => {
                    sqlx::query_file!("../sql/common/pin_remove.sql", cache.0, name).execute(&mut *connection).await
                }
                Some(revision) => {
                    let revision = i64::from(revision);
                    sqlx::query_file!("../sql/common/pin_remove_revision.sql", cache.0, name, revision)
                        .execute(&mut *connection)
                        .await
                }
            };
            Ok(done.map_err(failed)?.rows_affected())
        })
        .await)
    }

    async fn remove_expired_pins(&self, now: Timestamp) -> Result<u64> {
        writing!(self, |connection| typed(async {
            let done = sqlx::query_file!("../sql/common/pin_expire.sql", now.0)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            Ok(done.rows_affected())
        })
        .await)
    }
}
