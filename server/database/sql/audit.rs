//! The audit.

use async_trait::async_trait;
use database::{ActFilter, ActMark, ActRow, Audit, NewAct, Result};
use protocol::{CacheName, Timestamp};

use crate::{
    column::Column,
    dialect::{Connection, Index},
    error::failed,
};

struct Row {
    id: i64,
    at: i64,
    subject: String,
    token: Option<String>,
    address: Option<String>,
    act: String,
    cache: Option<String>,
    object: Option<String>,
    outcome: String,
    detail: Option<String>,
}

impl From<Row> for ActRow {
    fn from(row: Row) -> Self {
        let Row { id, at, subject, token, address, act, cache, object, outcome, detail } = row;
        Self { id, at: Timestamp(at), subject, token, address, act, cache, object, outcome, detail }
    }
}

#[async_trait]
impl Audit for Index {
    async fn record_act(&self, act: &NewAct) -> Result<()> {
        writing!(self, |transaction| record(transaction, act).await)
    }

    async fn list_acts(&self, filter: &ActFilter, after: Option<ActMark>, limit: u32) -> Result<Vec<ActRow>> {
        asking!(self, |connection| list(connection, filter, after, limit).await)
    }

    async fn prune_acts(&self, before: Timestamp, keep: u64, limit: u32) -> Result<u64> {
        writing!(self, |transaction| prune(transaction, before, keep, limit).await)
    }
}

async fn record(connection: &mut Connection, act: &NewAct) -> Result<()> {
    let (kind, outcome) = (act.act.name(), act.outcome.name());
    let cache = act.cache.as_ref().map(CacheName::as_str);
    sqlx::query_file!(
        "../sql/common/audit_insert.sql",
        act.at.0,
        act.subject,
        act.token,
        act.address,
        kind,
        cache,
        act.object,
        outcome,
        act.detail
    )
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn list(
    connection: &mut Connection,
    filter: &ActFilter,
    after: Option<ActMark>,
    limit: u32,
) -> Result<Vec<ActRow>> {
    let limit = i64::from(limit);
    let after = after.unwrap_or(ActMark::NEWEST);
    let since = filter.since.map_or(i64::MIN, |since| since.0);
    let rows = match filter.cache.as_ref().map(CacheName::as_str) {
        Some(cache) => {
            sqlx::query_file_as!(
                Row,
                "../sql/common/audit_list_of_cache.sql",
                after.at.0,
                after.id,
                since,
                limit,
                cache
            )
            .fetch_all(&mut *connection)
            .await
        }
        None => {
            sqlx::query_file_as!(Row, "../sql/common/audit_list.sql", after.at.0, after.id, since, limit)
                .fetch_all(&mut *connection)
                .await
        }
    };
    Ok(rows.map_err(failed)?.into_iter().map(ActRow::from).collect())
}

async fn prune(connection: &mut Connection, before: Timestamp, keep: u64, limit: u32) -> Result<u64> {
    let limit = i64::from(limit);
    let keep = Column("audit", "id").integer(keep)?;
    let done = sqlx::query_file!("../sql/common/audit_prune.sql", before.0, keep, limit)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected())
}
