//! What the storage has to be told of promotion, and what it tells back.

use async_trait::async_trait;
use database::{
    CacheId, ClaimFact, ClaimId, PromotionFact, PromotionRecords, ReceiptFact, Result, RevisionFact, TagFact,
    Unrecorded, UnrecordedKind, VerdictFact,
};
use formats::{NarHash, SecretKey, Sha256, StorePathHash};
use protocol::{
    Timestamp,
    promotion::{ClaimState, Observation, Revision, RevisionState, Visibility},
};

use super::{
    promotion::{find_claim, insert_observations, list_keys, receipt, resolve_observations, revision, text},
    promotion_rules::{attest, insert_policy, read_policy},
};
use crate::{
    column::Column,
    dialect::{Connection, Index},
    error::failed,
    list::{BATCH, hex, json},
};

#[async_trait]
impl PromotionRecords for Index {
    async fn unrecorded(&self, limit: u32) -> Result<Vec<Unrecorded>> {
        asking!(self, |connection| unrecorded(connection, limit).await)
    }

    async fn promotion_fact(&self, of: &Unrecorded) -> Result<Option<PromotionFact>> {
        asking!(self, |connection| fact(connection, of).await)
    }

    async fn forget_unrecorded(&self, ids: &[i64]) -> Result<()> {
        writing!(self, |transaction| forget(transaction, ids).await)
    }

    async fn find_promotion_keys(&self, cache: CacheId) -> Result<Vec<SecretKey>> {
        asking!(self, |connection| list_keys(connection, cache).await)
    }

    async fn restore_promotion(&self, cache: CacheId, fact: &PromotionFact) -> Result<bool> {
        writing!(self, |transaction| restore(transaction, cache, fact).await)
    }
}

async fn unrecorded(connection: &mut Connection, limit: u32) -> Result<Vec<Unrecorded>> {
    let limit = i64::from(limit);
    let rows = sqlx::query_file!("../sql/common/unrecorded_list.sql", limit)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let read = rows.into_iter().map(|row| {
        let kind = UnrecordedKind::ALL.into_iter().find(|kind| kind.as_str() == row.kind);
        Ok(Unrecorded {
            id: row.id,
            cache: Column("cache", "name").text(&row.cache_name)?,
            kind: kind.ok_or_else(|| Column("unrecorded", "kind").wrong(&row.kind))?,
            row: row.row_id,
        })
    });
    read.collect()
}

async fn forget(connection: &mut Connection, ids: &[i64]) -> Result<()> {
    for id in ids {
        sqlx::query_file!("../sql/common/unrecorded_forget.sql", id).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

async fn fact(connection: &mut Connection, of: &Unrecorded) -> Result<Option<PromotionFact>> {
    let fact = match of.kind {
        UnrecordedKind::Claim => claim_fact(connection, of.row).await?.map(|fact| PromotionFact::Claim(Box::new(fact))),
        UnrecordedKind::Verdict => {
            verdict_fact(connection, of.row).await?.map(|fact| PromotionFact::Verdict(Box::new(fact)))
        }
        UnrecordedKind::Revision => {
            revision_fact(connection, of.row).await?.map(|fact| PromotionFact::Revision(Box::new(fact)))
        }
        UnrecordedKind::Tag => tag_fact(connection, of.row).await?.map(PromotionFact::Tag),
        UnrecordedKind::Receipt => receipt_fact(connection, of.row).await?.map(PromotionFact::Receipt),
        UnrecordedKind::Policy => read_policy(connection, of.row).await?.map(PromotionFact::Policy),
        UnrecordedKind::Keys => None,
    };
    Ok(fact)
}

async fn claim_fact(connection: &mut Connection, row: i64) -> Result<Option<ClaimFact>> {
    let digest = sqlx::query_file!("../sql/common/claim_digest.sql", row)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some((digest, claim)) = digest.zip(find_claim(connection, ClaimId(row)).await?) else { return Ok(None) };
    Ok(Some(ClaimFact {
        number: claim.id.0,
        digest: Sha256::from_bytes(Column("claim", "digest").bytes(&digest.digest)?),
        claim: claim.claim,
        builder: claim.builder,
        filed_at: claim.filed_at,
        state: claim.state,
        reason: claim.reason,
        report: claim.report,
    }))
}

async fn verdict_fact(connection: &mut Connection, row: i64) -> Result<Option<VerdictFact>> {
    let row = sqlx::query_file!("../sql/common/verdict_read.sql", row)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(VerdictFact {
        claim: row.claim_id,
        report: Column("verdict", "report").json(&row.report)?,
        manifest: Column("verdict", "manifest").json(&row.manifest)?,
        at: Timestamp(row.created_at),
    }))
}

async fn tag_fact(connection: &mut Connection, row: i64) -> Result<Option<TagFact>> {
    let row =
        sqlx::query_file!("../sql/common/tag_read.sql", row).fetch_optional(&mut *connection).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(TagFact {
        name: Column("tag", "name").text(&row.name)?,
        kind: Column("tag", "kind").text(&row.kind)?,
        visibility: Column("tag", "visibility").text(&row.visibility)?,
        last_number: row.last_number,
        current: row.current,
    }))
}

async fn revision_fact(connection: &mut Connection, id: i64) -> Result<Option<RevisionFact>> {
    let row = sqlx::query_file!("../sql/common/revision_read.sql", id)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let members =
        sqlx::query_file!("../sql/common/promoted_read.sql", id).fetch_all(&mut *connection).await.map_err(failed)?;
    let members = members.into_iter().map(|row| {
        let hash = StorePathHash::from_bytes(Column("promoted", "hash").bytes(&row.hash)?);
        let nar_hash = NarHash::from_bytes(Column("promoted", "nar_hash").bytes(&row.nar_hash)?);
        Ok((row.claim_id, hash, nar_hash))
    });
    Ok(Some(RevisionFact {
        tag: Column("tag", "name").text(&row.name)?,
        kind: Column("tag", "kind").text(&row.kind)?,
        revision: revision(row.number, &row.state, row.reason, &row.body)?,
        members: members.collect::<Result<_>>()?,
    }))
}

async fn receipt_fact(connection: &mut Connection, row: i64) -> Result<Option<ReceiptFact>> {
    let row = sqlx::query_file!("../sql/common/receipt_read.sql", row)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let tag = Column("tag", "name").text(&row.name)?;
    let columns = (row.id, row.revision, row.surface, row.url, row.manifest_digest, row.exported_by, row.created_at);
    Ok(Some(ReceiptFact { tag, receipt: receipt(columns)? }))
}

async fn restore(connection: &mut Connection, cache: CacheId, fact: &PromotionFact) -> Result<bool> {
    match fact {
        PromotionFact::Claim(fact) => restore_claim(connection, cache, fact).await.map(|()| true),
        PromotionFact::Verdict(fact) => restore_verdict(connection, cache, fact).await,
        PromotionFact::Observed(fact) => {
            for batch in fact.seen.chunks(BATCH) {
                insert_observations(connection, cache, &fact.builder, batch, fact.at).await?;
            }
            Ok(true)
        }
        PromotionFact::Resolved(fact) => {
            resolve_observations(connection, cache, fact.path.hash(), &fact.resolution).await.map(|()| true)
        }
        PromotionFact::Tag(fact) => restore_tag(connection, cache, fact).await.map(|()| true),
        PromotionFact::Revision(fact) => restore_revision(connection, cache, fact).await.map(|()| true),
        PromotionFact::Receipt(fact) => restore_receipt(connection, cache, fact).await,
        PromotionFact::Policy(policy) => insert_policy(connection, cache, policy).await.map(|_| true),
        PromotionFact::Attested(fact) => {
            let claim = find_claim(connection, ClaimId(fact.claim)).await?.filter(|claim| claim.cache == cache);
            match claim {
                Some(claim) => attest(connection, claim.id, &fact.sent).await.map(|()| true),
                None => Ok(false),
            }
        }
    }
}

async fn restore_claim(connection: &mut Connection, cache: CacheId, fact: &ClaimFact) -> Result<()> {
    let (body, builder) = (text(&fact.claim)?, text(&fact.builder)?);
    let report = fact.report.as_ref().map(text).transpose()?;
    let digest = &fact.digest.as_bytes()[..];
    let (state, due_at) = match fact.state {
        ClaimState::Filed | ClaimState::Verifying | ClaimState::Stalled => (ClaimState::Filed, Some(fact.filed_at.0)),
        settled => (settled, None),
    };
    sqlx::query_file!(
        "../sql/common/claim_restore.sql",
        fact.number,
        cache.0,
        digest,
        body,
        builder,
        state.as_str(),
        fact.reason,
        report,
        fact.filed_at.0,
        due_at
    )
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    let mut seen = Vec::new();
    for output in fact.claim.outputs.values() {
        let hash = &output.path.hash().as_bytes()[..];
        sqlx::query_file!("../sql/common/claim_output_insert.sql", cache.0, hash, fact.number)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        seen.push(Observation { path: output.path.clone(), nar_hash: output.nar_hash });
    }
    insert_observations(connection, cache, &fact.builder.subject, &seen, fact.filed_at).await?;
    if matches!(state, ClaimState::Withdrawn | ClaimState::Revoked) {
        sqlx::query_file!("../sql/common/promoted_delete_claim.sql", fact.number)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    restore_numbers(connection).await
}

async fn restore_verdict(connection: &mut Connection, cache: CacheId, fact: &VerdictFact) -> Result<bool> {
    let claim = find_claim(connection, ClaimId(fact.claim)).await?;
    if claim.is_none_or(|claim| claim.cache != cache) {
        return Ok(false);
    }
    let policy = &fact.report.policy_digest.as_bytes()[..];
    let digest = &fact.report.manifest_digest.as_bytes()[..];
    let is_clean = i64::from(fact.report.is_clean());
    let (report, manifest) = (text(&fact.report)?, text(&fact.manifest)?);
    sqlx::query_file!(
        "../sql/common/verdict_insert.sql",
        fact.claim,
        policy,
        digest,
        is_clean,
        report,
        manifest,
        fact.at.0
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    Ok(true)
}

async fn restore_tag(connection: &mut Connection, cache: CacheId, fact: &TagFact) -> Result<()> {
    let (name, kind, visibility) = (fact.name.as_str(), fact.kind.as_str(), fact.visibility.as_str());
    let row = sqlx::query_file!("../sql/common/tag_restore.sql", cache.0, name, kind, visibility, fact.last_number)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    sqlx::query_file!("../sql/common/tag_point_at_number.sql", row.id, fact.current)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Its tag points at it once the tag's own record, which comes behind, says so.
async fn restore_revision(connection: &mut Connection, cache: CacheId, fact: &RevisionFact) -> Result<()> {
    let (name, kind, nobody) = (fact.tag.as_str(), fact.kind.as_str(), Visibility::LocalOnly.as_str());
    sqlx::query_file!("../sql/common/tag_insert.sql", cache.0, name, kind, nobody)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(tag) = super::promotion::find_tag(connection, cache, &fact.tag).await? else { return Ok(()) };
    let Revision { number, state, reason, at, .. } = &fact.revision;
    let body = text(&fact.revision)?;
    let row = sqlx::query_file!(
        "../sql/common/revision_restore.sql",
        tag.id.0,
        number,
        state.as_str(),
        reason.as_deref(),
        body,
        at.0
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    if *state != RevisionState::Kept {
        sqlx::query_file!("../sql/common/promoted_delete.sql", row.id)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        return Ok(());
    }
    for batch in fact.members.chunks(BATCH) {
        let batch: Vec<_> = batch
            .iter()
            .map(|(claim, hash, nar_hash)| (claim, hex(hash.as_bytes()), hex(nar_hash.as_bytes())))
            .collect();
        let batch = json(&batch)?;
        sqlx::query_file!("sql/promoted_restore.sql", row.id, cache.0, batch)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

async fn restore_receipt(connection: &mut Connection, cache: CacheId, fact: &ReceiptFact) -> Result<bool> {
    let Some(tag) = super::promotion::find_tag(connection, cache, &fact.tag).await? else { return Ok(false) };
    let receipt = &fact.receipt;
    let digest = &receipt.manifest_digest.as_bytes()[..];
    sqlx::query_file!(
        "../sql/common/receipt_restore.sql",
        receipt.id,
        tag.id.0,
        receipt.revision,
        receipt.surface,
        receipt.url,
        digest,
        receipt.exported_by,
        receipt.at.0
    )
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    restore_numbers(connection).await.map(|()| true)
}

async fn restore_numbers(connection: &mut Connection) -> Result<()> {
    sqlx::query_file!("sql/numbers_restore.sql").fetch_one(connection).await.map_err(failed)?;
    Ok(())
}
