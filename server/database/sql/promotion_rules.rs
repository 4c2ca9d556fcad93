//! What an admin asks of claims to a cache, and what others attest about claims.

use async_trait::async_trait;
use database::{CacheId, ClaimId, PromotionRules, Result, UnrecordedKind};
use formats::Sha256;
use protocol::{
    Timestamp,
    promotion::{CachePolicy, SentAttestation},
};

use super::promotion::{text, unrecorded};
use crate::{
    column::Column,
    dialect::{Connection, Index},
    error::failed,
};

#[async_trait]
impl PromotionRules for Index {
    async fn policies(&self, cache: CacheId, limit: u32) -> Result<Vec<CachePolicy>> {
        asking!(self, |connection| policies(connection, cache, limit).await)
    }

    async fn set_policy(&self, cache: CacheId, policy: &CachePolicy) -> Result<bool> {
        writing!(self, |transaction| set_policy(transaction, cache, policy).await)
    }

    async fn attest(&self, claim: ClaimId, attestation: &SentAttestation) -> Result<()> {
        writing!(self, |transaction| attest(transaction, claim, attestation).await)
    }

    async fn attestations(&self, claim: ClaimId) -> Result<Vec<SentAttestation>> {
        asking!(self, |connection| attestations(connection, claim).await)
    }
}

struct PolicyRow {
    number: i64,
    rules: Option<String>,
    set_by: String,
    created_at: i64,
}

impl TryFrom<PolicyRow> for CachePolicy {
    type Error = database::Error;

    fn try_from(row: PolicyRow) -> Result<Self> {
        let rules = row.rules.map(|rules| Column("promotion_policy", "rules").json(&rules)).transpose()?;
        Ok(Self { number: row.number, rules, set_by: row.set_by, at: Timestamp(row.created_at) })
    }
}

async fn policies(connection: &mut Connection, cache: CacheId, limit: u32) -> Result<Vec<CachePolicy>> {
    let limit = i64::from(limit);
    let rows = sqlx::query_file_as!(PolicyRow, "../sql/common/policy_list.sql", cache.0, limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(CachePolicy::try_from).collect()
}

async fn set_policy(connection: &mut Connection, cache: CacheId, policy: &CachePolicy) -> Result<bool> {
    let newest = policies(connection, cache, 1).await?;
    if newest.first().is_some_and(|newest| newest.number >= policy.number) {
        // One whose answer was lost is sent once more.
        return Ok(newest.first() == Some(policy));
    }
    match insert_policy(connection, cache, policy).await? {
        Some(id) => unrecorded(connection, cache, UnrecordedKind::Policy, id).await.map(|()| true),
        None => Ok(false),
    }
}

pub(super) async fn insert_policy(
    connection: &mut Connection,
    cache: CacheId,
    policy: &CachePolicy,
) -> Result<Option<i64>> {
    let CachePolicy { number, rules, set_by, at } = policy;
    let rules = rules.as_ref().map(text).transpose()?;
    let row = sqlx::query_file!("../sql/common/policy_insert.sql", cache.0, number, rules, set_by, at.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    Ok(row.map(|row| row.id))
}

pub(super) async fn read_policy(connection: &mut Connection, row: i64) -> Result<Option<CachePolicy>> {
    let row = sqlx::query_file_as!(PolicyRow, "../sql/common/policy_read.sql", row)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(CachePolicy::try_from).transpose()
}

pub(super) async fn attest(connection: &mut Connection, claim: ClaimId, attestation: &SentAttestation) -> Result<()> {
    let envelope = text(&attestation.envelope)?;
    let digest = Sha256::digest_of(envelope.as_bytes());
    let (digest, at) = (&digest.as_bytes()[..], attestation.at.0);
    sqlx::query_file!("../sql/common/attestation_insert.sql", claim.0, digest, envelope, attestation.sent_by, at)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn attestations(connection: &mut Connection, claim: ClaimId) -> Result<Vec<SentAttestation>> {
    let rows =
        sqlx::query_file!("../sql/common/attestation_list.sql", claim.0).fetch_all(connection).await.map_err(failed)?;
    let sent = rows.into_iter().map(|row| {
        let envelope = Column("attestation", "envelope").json(&row.envelope)?;
        Ok(SentAttestation { envelope, sent_by: row.sent_by, at: Timestamp(row.created_at) })
    });
    sent.collect()
}
