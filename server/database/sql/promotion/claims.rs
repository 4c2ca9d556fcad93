//! Claims: filed, verified one at a time, taken back.

use database::{CacheId, Claim, ClaimId, NewClaim, Result, UnrecordedKind, Verdict, Verified};
use formats::{Sha256, StorePathHash};
use protocol::{
    Timestamp,
    promotion::{ClaimState, Observation, Progress},
};

use super::{columns::ClaimRow, observations, text, unrecorded};
use crate::{column::Column, dialect::Connection, error::failed};

pub(super) async fn file(connection: &mut Connection, new: &NewClaim) -> Result<(Claim, bool)> {
    let (body, builder) = (text(&new.claim)?, text(&new.builder)?);
    let digest = &new.digest.as_bytes()[..];
    let inserted = sqlx::query_file!("../sql/common/claim_insert.sql", new.cache.0, digest, body, builder, new.now.0)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let (id, is_new) = match inserted {
        Some(row) => (row.id, true),
        None => {
            let row = sqlx::query_file!("../sql/common/claim_find_by_digest.sql", new.cache.0, digest)
                .fetch_one(&mut *connection)
                .await
                .map_err(failed)?;
            (row.id, false)
        }
    };
    if is_new {
        for output in new.claim.outputs.values() {
            let hash = &output.path.hash().as_bytes()[..];
            sqlx::query_file!("../sql/common/claim_output_insert.sql", new.cache.0, hash, id)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
        let seen: Vec<Observation> = (new.claim.outputs.values())
            .map(|output| Observation { path: output.path.clone(), nar_hash: output.nar_hash })
            .collect();
        observations::insert(connection, new.cache, &new.builder.subject, &seen, new.now).await?;
        unrecorded(connection, new.cache, UnrecordedKind::Claim, id).await?;
    }
    let claim = find(connection, ClaimId(id)).await?;

    let claim = claim.ok_or_else(|| Column("claim", "cache_id").wrong("the cache is gone"))?;
    Ok((claim, is_new))
}

pub(super) async fn find_of(connection: &mut Connection, cache: CacheId, claim: ClaimId) -> Result<Option<Claim>> {
    Ok(find(connection, claim).await?.filter(|claim| claim.cache == cache))
}

pub(super) async fn list(
    connection: &mut Connection,
    cache: CacheId,
    before: Option<ClaimId>,
    limit: u32,
) -> Result<Vec<Claim>> {
    let before = before.map_or(i64::MAX, |claim| claim.0);
    let limit = i64::from(limit);
    let rows = sqlx::query_file_as!(ClaimRow, "../sql/common/claim_list.sql", cache.0, before, limit)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(Claim::try_from).collect()
}

pub(super) async fn of_path(connection: &mut Connection, cache: CacheId, hash: &StorePathHash) -> Result<Vec<Claim>> {
    let hash = &hash.as_bytes()[..];
    let rows = sqlx::query_file_as!(ClaimRow, "../sql/common/claim_by_path.sql", cache.0, hash)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(Claim::try_from).collect()
}

pub(super) async fn take(connection: &mut Connection, now: Timestamp, until: Timestamp) -> Result<Option<Claim>> {
    let taken = sqlx::query_file!("../sql/common/claim_take.sql", now.0, until.0)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(row) = taken else { return Ok(None) };
    let claim = find(connection, ClaimId(row.id)).await?;

    Ok(claim)
}

pub(super) async fn note_progress(
    connection: &mut Connection,
    claim: ClaimId,
    progress: Progress,
    until: Timestamp,
) -> Result<bool> {
    let progress = text(&progress)?;
    let done = sqlx::query_file!("../sql/common/claim_progress.sql", claim.0, progress, until.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn settle(connection: &mut Connection, claim: ClaimId, verified: &Verified) -> Result<()> {
    let report = verified.report.as_ref().map(text).transpose()?;
    let state = verified.state.as_str();
    let due_at = verified.due_at.map(|at| at.0);
    let done = sqlx::query_file!("../sql/common/claim_settle.sql", claim.0, state, verified.reason, report, due_at)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query_file!("../sql/common/unrecorded_of_claim.sql", claim.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if let (Some(found), Some(manifest)) = (&verified.report, &verified.manifest) {
        let policy = &found.policy_digest.as_bytes()[..];
        let digest = &found.manifest_digest.as_bytes()[..];
        let is_clean = i64::from(found.is_clean());
        let manifest = text(manifest)?;
        let inserted = sqlx::query_file!(
            "../sql/common/verdict_insert.sql",
            claim.0,
            policy,
            digest,
            is_clean,
            report,
            manifest,
            verified.now.0
        )
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
        if let Some(verdict) = inserted {
            sqlx::query_file!("../sql/common/unrecorded_of_verdict.sql", verdict.id)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
    }
    Ok(())
}

pub(super) async fn requeue(connection: &mut Connection, claim: ClaimId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query_file!("../sql/common/claim_requeue.sql", claim.0, now.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn retract(
    connection: &mut Connection,
    claim: ClaimId,
    state: ClaimState,
    reason: &str,
) -> Result<bool> {
    let state = state.as_str();
    let done = sqlx::query_file!("../sql/common/claim_retract.sql", claim.0, state, reason)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    sqlx::query_file!("../sql/common/promoted_delete_claim.sql", claim.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    sqlx::query_file!("../sql/common/unrecorded_of_claim.sql", claim.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn verdict(connection: &mut Connection, claim: ClaimId, policy: &Sha256) -> Result<Option<Verdict>> {
    let policy = &policy.as_bytes()[..];
    let row = sqlx::query_file!("../sql/common/verdict_find.sql", claim.0, policy)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Verdict {
        report: Column("verdict", "report").json(&row.report)?,
        manifest: Column("verdict", "manifest").json(&row.manifest)?,
    }))
}

pub(in super::super) async fn find(connection: &mut Connection, claim: ClaimId) -> Result<Option<Claim>> {
    let row = sqlx::query_file_as!(ClaimRow, "../sql/common/claim_find.sql", claim.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(Claim::try_from).transpose()
}
