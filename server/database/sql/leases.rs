//! Leases and runs of chores.

use async_trait::async_trait;
use database::{ChoreRun, Lease, Leases, Result};
use protocol::Timestamp;

use crate::{
    dialect::{Connection, Index},
    error::failed,
};

#[async_trait]
impl Leases for Index {
    async fn acquire_lease(&self, lease: &Lease, now: Timestamp) -> Result<bool> {
        noting!(self, |transaction| acquire(transaction, lease, now).await)
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<()> {
        noting!(self, |transaction| release(transaction, name, holder).await)
    }

    async fn live_leases(&self, now: Timestamp) -> Result<Vec<Lease>> {
        asking!(self, |connection| live(connection, now).await)
    }

    async fn note_chore_run(&self, name: &str, run: &ChoreRun) -> Result<()> {
        noting!(self, |transaction| note_run(transaction, name, run).await)
    }

    async fn last_chore_run(&self, name: &str) -> Result<Option<ChoreRun>> {
        asking!(self, |connection| last_run(connection, name).await)
    }
}

async fn acquire(connection: &mut Connection, lease: &Lease, now: Timestamp) -> Result<bool> {
    let done = sqlx::query_file!("../sql/common/lease_acquire.sql", lease.name, lease.holder, lease.until.0, now.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

async fn release(connection: &mut Connection, name: &str, holder: &str) -> Result<()> {
    sqlx::query_file!("../sql/common/lease_release.sql", name, holder).execute(connection).await.map_err(failed)?;
    Ok(())
}

async fn live(connection: &mut Connection, now: Timestamp) -> Result<Vec<Lease>> {
    let rows = sqlx::query_file!("../sql/common/lease_list.sql", now.0).fetch_all(connection).await.map_err(failed)?;
    let leases = rows.into_iter();
    Ok(leases.map(|row| Lease { name: row.name, holder: row.holder, until: Timestamp(row.until) }).collect())
}

async fn note_run(connection: &mut Connection, name: &str, run: &ChoreRun) -> Result<()> {
    sqlx::query_file!("../sql/common/chore_run_put.sql", name, run.started_at.0, run.finished_at.0, run.report)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn last_run(connection: &mut Connection, name: &str) -> Result<Option<ChoreRun>> {
    let row =
        sqlx::query_file!("../sql/common/chore_run_find.sql", name).fetch_optional(connection).await.map_err(failed)?;
    Ok(row.map(|row| ChoreRun {
        started_at: Timestamp(row.started_at),
        finished_at: Timestamp(row.finished_at),
        report: row.report,
    }))
}
