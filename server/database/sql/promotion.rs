//! Claims, verdicts, tags and what they keep.

mod columns;
mod tags;

use async_trait::async_trait;
use database::{
    CacheId, Claim, ClaimId, Moved, NarFile, NewClaim, NewRevision, PathRow, Promotions, Result, RevisionId, TagId,
    TagRow, UnrecordedKind, Verdict, Verified, View,
};
use formats::{FileHash, NarHash, SecretKey, Sha256, StorePath, StorePathHash};
use protocol::{
    CacheName, Timestamp,
    promotion::{
        ClaimState, Holding, Observation, PathPromotion, Progress, Receipt, Resolution, Revision, RevisionState, Seen,
        TagName, Visibility,
    },
};

use super::{
    caches::CacheRow,
    paths::{NarRow, PathColumns},
};
use crate::{
    column::Column,
    dialect::{Connection, Index},
    error::failed,
    list::{BATCH, hex, json},
};
use columns::ClaimRow;
pub(super) use columns::{receipt, text};
use tags::Unmoved;
pub(super) use tags::{find as find_tag, revision};

#[async_trait]
impl Promotions for Index {
    async fn file_claim(&self, new: &NewClaim) -> Result<(Claim, bool)> {
        writing!(self, |transaction| file_claim(transaction, new).await)
    }

    async fn find_claim(&self, cache: CacheId, claim: ClaimId) -> Result<Option<Claim>> {
        asking!(self, |connection| find_claim_of(connection, cache, claim).await)
    }

    async fn list_claims(&self, cache: CacheId, before: Option<ClaimId>, limit: u32) -> Result<Vec<Claim>> {
        asking!(self, |connection| list_claims(connection, cache, before, limit).await)
    }

    async fn claims_of_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Vec<Claim>> {
        asking!(self, |connection| claims_of_path(connection, cache, hash).await)
    }

    async fn take_claim(&self, now: Timestamp, until: Timestamp) -> Result<Option<Claim>> {
        writing!(self, |transaction| take_claim(transaction, now, until).await)
    }

    async fn note_progress(&self, claim: ClaimId, progress: Progress, until: Timestamp) -> Result<bool> {
        writing_beside!(self, |transaction| note_progress(transaction, claim, progress, until).await)
    }

    async fn settle_claim(&self, claim: ClaimId, verified: &Verified) -> Result<()> {
        writing!(self, |transaction| settle_claim(transaction, claim, verified).await)
    }

    async fn requeue_claim(&self, claim: ClaimId, now: Timestamp) -> Result<bool> {
        writing_beside!(self, |transaction| requeue_claim(transaction, claim, now).await)
    }

    async fn retract_claim(&self, claim: ClaimId, state: ClaimState, reason: &str) -> Result<bool> {
        writing!(self, |transaction| retract_claim(transaction, claim, state, reason).await)
    }

    async fn find_verdict(&self, claim: ClaimId, policy: &Sha256) -> Result<Option<Verdict>> {
        asking!(self, |connection| find_verdict(connection, claim, policy).await)
    }

    async fn observe(&self, cache: CacheId, builder: &str, seen: &[Observation], now: Timestamp) -> Result<()> {
        writing!(self, |transaction| observe(transaction, cache, builder, seen, now).await)
    }

    async fn observations(&self, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<Seen>> {
        asking!(self, |connection| observations(connection, cache, hashes).await)
    }

    async fn resolutions(&self, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<(StorePathHash, Resolution)>> {
        asking!(self, |connection| resolutions(connection, cache, hashes).await)
    }

    async fn resolve(&self, cache: CacheId, hash: &StorePathHash, resolution: &Resolution) -> Result<()> {
        writing!(self, |transaction| resolve(transaction, cache, hash, resolution).await)
    }

    async fn move_tag(&self, new: &NewRevision) -> Result<Moved> {
        let moved = writing!(self, |transaction| tags::advance(transaction, new).await);
        match moved {
            Ok(moved) | Err(Unmoved::Stays(moved)) => Ok(moved),
            Err(Unmoved::Database(error)) => Err(error),
        }
    }

    async fn show_tag(&self, tag: TagId, visibility: Visibility) -> Result<bool> {
        writing_beside!(self, |transaction| show_tag(transaction, tag, visibility).await)
    }

    async fn find_tag(&self, cache: CacheId, name: &TagName) -> Result<Option<TagRow>> {
        asking!(self, |connection| tags::find(connection, cache, name).await)
    }

    async fn list_tags(&self, cache: CacheId) -> Result<Vec<TagRow>> {
        asking!(self, |connection| tags::list(connection, cache).await)
    }

    async fn revisions(&self, tag: TagId, before: Option<i64>, limit: u32) -> Result<Vec<(RevisionId, Revision)>> {
        asking!(self, |connection| tags::history(connection, tag, before, limit).await)
    }

    async fn end_revision(&self, revision: RevisionId, state: RevisionState, reason: Option<&str>) -> Result<bool> {
        writing!(self, |transaction| tags::let_go(transaction, revision, state, reason).await)
    }

    async fn promotion_keys(&self, cache: CacheId, fresh: &SecretKey) -> Result<Vec<SecretKey>> {
        writing!(self, |transaction| promotion_keys(transaction, cache, fresh).await)
    }

    async fn set_promotion_keys(&self, cache: CacheId, keys: &[SecretKey]) -> Result<()> {
        writing!(self, |transaction| set_promotion_keys(transaction, cache, keys).await)
    }

    async fn find_view(&self, cache: &CacheName, tag: &TagName) -> Result<Option<View>> {
        asking!(self, |connection| find_view(connection, cache, tag).await)
    }

    async fn find_promoted_path(
        &self,
        cache: CacheId,
        revision: RevisionId,
        hash: &StorePathHash,
    ) -> Result<Option<PathRow>> {
        asking!(self, |connection| find_promoted_path(connection, cache, revision, hash).await)
    }

    async fn find_promoted_nar(
        &self,
        cache: CacheId,
        revision: RevisionId,
        file_hash: &FileHash,
    ) -> Result<Option<NarFile>> {
        asking!(self, |connection| find_promoted_nar(connection, cache, revision, file_hash).await)
    }

    async fn promoted_paths(
        &self,
        cache: CacheId,
        after: Option<StorePathHash>,
        limit: u32,
    ) -> Result<Vec<StorePathHash>> {
        asking!(self, |connection| promoted_paths(connection, cache, after, limit).await)
    }

    async fn record_receipt(&self, tag: TagId, receipt: &Receipt) -> Result<Receipt> {
        writing!(self, |transaction| record_receipt(transaction, tag, receipt).await)
    }

    async fn receipts(&self, tag: TagId) -> Result<Vec<Receipt>> {
        asking!(self, |connection| receipts(connection, tag).await)
    }

    async fn holdings(&self, hash: &StorePathHash) -> Result<Vec<(StorePath, Holding)>> {
        asking!(self, |connection| holdings(connection, hash).await)
    }

    async fn promotions_of_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Vec<PathPromotion>> {
        asking!(self, |connection| promotions_of_path(connection, cache, hash).await)
    }
}

async fn file_claim(connection: &mut Connection, new: &NewClaim) -> Result<(Claim, bool)> {
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
        insert_observations(connection, new.cache, &new.builder.subject, &seen, new.now).await?;
        unrecorded(connection, new.cache, UnrecordedKind::Claim, id).await?;
    }
    let claim = find_claim(connection, ClaimId(id)).await?;

    let claim = claim.ok_or_else(|| Column("claim", "cache_id").wrong("the cache is gone"))?;
    Ok((claim, is_new))
}

async fn find_claim_of(connection: &mut Connection, cache: CacheId, claim: ClaimId) -> Result<Option<Claim>> {
    Ok(find_claim(connection, claim).await?.filter(|claim| claim.cache == cache))
}

async fn list_claims(
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

async fn claims_of_path(connection: &mut Connection, cache: CacheId, hash: &StorePathHash) -> Result<Vec<Claim>> {
    let hash = &hash.as_bytes()[..];
    let rows = sqlx::query_file_as!(ClaimRow, "../sql/common/claim_by_path.sql", cache.0, hash)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(Claim::try_from).collect()
}

async fn take_claim(connection: &mut Connection, now: Timestamp, until: Timestamp) -> Result<Option<Claim>> {
    let taken = sqlx::query_file!("../sql/common/claim_take.sql", now.0, until.0)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(row) = taken else { return Ok(None) };
    let claim = find_claim(connection, ClaimId(row.id)).await?;

    Ok(claim)
}

async fn note_progress(
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

async fn settle_claim(connection: &mut Connection, claim: ClaimId, verified: &Verified) -> Result<()> {
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

async fn requeue_claim(connection: &mut Connection, claim: ClaimId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query_file!("../sql/common/claim_requeue.sql", claim.0, now.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

async fn retract_claim(connection: &mut Connection, claim: ClaimId, state: ClaimState, reason: &str) -> Result<bool> {
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

async fn find_verdict(connection: &mut Connection, claim: ClaimId, policy: &Sha256) -> Result<Option<Verdict>> {
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

async fn observe(
    connection: &mut Connection,
    cache: CacheId,
    builder: &str,
    seen: &[Observation],
    now: Timestamp,
) -> Result<()> {
    for batch in seen.chunks(BATCH) {
        insert_observations(connection, cache, builder, batch, now).await?;
    }
    Ok(())
}

async fn observations(connection: &mut Connection, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for batch in hashes.chunks(BATCH) {
        let asked = json(&batch.iter().map(|hash| hex(hash.as_bytes())).collect::<Vec<_>>())?;
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

async fn resolutions(
    connection: &mut Connection,
    cache: CacheId,
    hashes: &[StorePathHash],
) -> Result<Vec<(StorePathHash, Resolution)>> {
    let mut all = Vec::new();
    for batch in hashes.chunks(BATCH) {
        let asked = json(&batch.iter().map(|hash| hex(hash.as_bytes())).collect::<Vec<_>>())?;
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

pub(super) async fn resolve(
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

async fn show_tag(connection: &mut Connection, tag: TagId, visibility: Visibility) -> Result<bool> {
    let visibility = visibility.as_str();
    let done = sqlx::query_file!("../sql/common/tag_show.sql", tag.0, visibility)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    sqlx::query_file!("../sql/common/unrecorded_of_tag.sql", tag.0).execute(&mut *connection).await.map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

async fn promotion_keys(connection: &mut Connection, cache: CacheId, fresh: &SecretKey) -> Result<Vec<SecretKey>> {
    let known = list_keys(connection, cache).await?;
    if !known.is_empty() {
        return Ok(known);
    }
    let secret = fresh.to_text();
    sqlx::query_file!("../sql/common/promotion_key_insert.sql", cache.0, 0_i64, secret)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    unrecorded(connection, cache, UnrecordedKind::Keys, cache.0).await?;
    list_keys(connection, cache).await
}

async fn set_promotion_keys(connection: &mut Connection, cache: CacheId, keys: &[SecretKey]) -> Result<()> {
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

async fn find_view(connection: &mut Connection, cache: &CacheName, tag: &TagName) -> Result<Option<View>> {
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

async fn find_promoted_path(
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

async fn find_promoted_nar(
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

async fn promoted_paths(
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

async fn record_receipt(connection: &mut Connection, tag: TagId, receipt: &Receipt) -> Result<Receipt> {
    let digest = &receipt.manifest_digest.as_bytes()[..];
    let row = sqlx::query_file!(
        "../sql/common/receipt_insert.sql",
        tag.0,
        receipt.revision,
        receipt.surface,
        receipt.url,
        digest,
        receipt.exported_by,
        receipt.at.0
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    sqlx::query_file!("../sql/common/unrecorded_of_receipt.sql", row.id)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(Receipt { id: row.id, ..receipt.clone() })
}

async fn receipts(connection: &mut Connection, tag: TagId) -> Result<Vec<Receipt>> {
    let rows =
        sqlx::query_file!("../sql/common/receipt_list.sql", tag.0).fetch_all(&mut *connection).await.map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            receipt((row.id, row.revision, row.surface, row.url, row.manifest_digest, row.exported_by, row.created_at))
        })
        .collect()
}

async fn holdings(connection: &mut Connection, hash: &StorePathHash) -> Result<Vec<(StorePath, Holding)>> {
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

async fn promotions_of_path(
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

/// Notes that the storage has to be told of this.
pub(super) async fn unrecorded(
    connection: &mut Connection,
    cache: CacheId,
    kind: UnrecordedKind,
    row: i64,
) -> Result<()> {
    let kind = kind.as_str();
    sqlx::query_file!("../sql/common/unrecorded_insert.sql", cache.0, kind, row)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

pub(super) async fn find_claim(connection: &mut Connection, claim: ClaimId) -> Result<Option<Claim>> {
    let row = sqlx::query_file_as!(ClaimRow, "../sql/common/claim_find.sql", claim.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(Claim::try_from).transpose()
}

pub(super) async fn insert_observations(
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

pub(super) async fn list_keys(connection: &mut Connection, cache: CacheId) -> Result<Vec<SecretKey>> {
    let rows = sqlx::query_file!("../sql/common/promotion_key_list.sql", cache.0)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(|row| Column("promotion_key", "secret").text(&row.secret)).collect()
}
