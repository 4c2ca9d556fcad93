//! Claims, verdicts, tags and what they keep.

mod claims;
mod columns;
mod keys;
mod observations;
mod receipts;
mod tags;
mod views;

use async_trait::async_trait;
use database::{
    CacheId, Claim, ClaimId, Moved, NarFile, NewClaim, NewRevision, PathRow, Promotions, Result, RevisionId, TagId,
    TagRow, UnrecordedKind, Verdict, Verified, View,
};
use formats::{FileHash, SecretKey, Sha256, StorePath, StorePathHash};
use protocol::{
    CacheName, Timestamp,
    promotion::{
        ClaimState, Holding, Observation, PathPromotion, Progress, Receipt, Resolution, Revision, RevisionState, Seen,
        TagName, Visibility,
    },
};

use crate::{
    dialect::{Connection, Index},
    error::failed,
};
pub(super) use claims::find as find_claim;
pub(super) use columns::{receipt, text};
pub(super) use keys::list as list_keys;
pub(super) use observations::{insert as insert_observations, resolve as resolve_observations};
use tags::Unmoved;
pub(super) use tags::{find as find_tag, revision};

#[async_trait]
impl Promotions for Index {
    async fn file_claim(&self, new: &NewClaim) -> Result<(Claim, bool)> {
        writing!(self, |transaction| claims::file(transaction, new).await)
    }

    async fn find_claim(&self, cache: CacheId, claim: ClaimId) -> Result<Option<Claim>> {
        asking!(self, |connection| claims::find_of(connection, cache, claim).await)
    }

    async fn list_claims(&self, cache: CacheId, before: Option<ClaimId>, limit: u32) -> Result<Vec<Claim>> {
        asking!(self, |connection| claims::list(connection, cache, before, limit).await)
    }

    async fn claims_of_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Vec<Claim>> {
        asking!(self, |connection| claims::of_path(connection, cache, hash).await)
    }

    async fn take_claim(&self, now: Timestamp, until: Timestamp) -> Result<Option<Claim>> {
        writing!(self, |transaction| claims::take(transaction, now, until).await)
    }

    async fn note_progress(&self, claim: ClaimId, progress: Progress, until: Timestamp) -> Result<bool> {
        writing_beside!(self, |transaction| claims::note_progress(transaction, claim, progress, until).await)
    }

    async fn settle_claim(&self, claim: ClaimId, verified: &Verified) -> Result<()> {
        writing!(self, |transaction| claims::settle(transaction, claim, verified).await)
    }

    async fn requeue_claim(&self, claim: ClaimId, now: Timestamp) -> Result<bool> {
        writing_beside!(self, |transaction| claims::requeue(transaction, claim, now).await)
    }

    async fn retract_claim(&self, claim: ClaimId, state: ClaimState, reason: &str) -> Result<bool> {
        writing!(self, |transaction| claims::retract(transaction, claim, state, reason).await)
    }

    async fn find_verdict(&self, claim: ClaimId, policy: &Sha256) -> Result<Option<Verdict>> {
        asking!(self, |connection| claims::verdict(connection, claim, policy).await)
    }

    async fn observe(&self, cache: CacheId, builder: &str, seen: &[Observation], now: Timestamp) -> Result<()> {
        writing!(self, |transaction| observations::observe(transaction, cache, builder, seen, now).await)
    }

    async fn observations(&self, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<Seen>> {
        asking!(self, |connection| observations::of_paths(connection, cache, hashes).await)
    }

    async fn resolutions(&self, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<(StorePathHash, Resolution)>> {
        asking!(self, |connection| observations::resolutions(connection, cache, hashes).await)
    }

    async fn resolve(&self, cache: CacheId, hash: &StorePathHash, resolution: &Resolution) -> Result<()> {
        writing!(self, |transaction| observations::resolve(transaction, cache, hash, resolution).await)
    }

    async fn move_tag(&self, new: &NewRevision) -> Result<Moved> {
        let moved = writing!(self, |transaction| tags::advance(transaction, new).await);
        match moved {
            Ok(moved) | Err(Unmoved::Stays(moved)) => Ok(moved),
            Err(Unmoved::Database(error)) => Err(error),
        }
    }

    async fn show_tag(&self, tag: TagId, visibility: Visibility) -> Result<bool> {
        writing_beside!(self, |transaction| tags::show(transaction, tag, visibility).await)
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
        writing!(self, |transaction| keys::get_or_make(transaction, cache, fresh).await)
    }

    async fn set_promotion_keys(&self, cache: CacheId, keys: &[SecretKey]) -> Result<()> {
        writing!(self, |transaction| keys::replace(transaction, cache, keys).await)
    }

    async fn find_view(&self, cache: &CacheName, tag: &TagName) -> Result<Option<View>> {
        asking!(self, |connection| views::find(connection, cache, tag).await)
    }

    async fn find_promoted_path(
        &self,
        cache: CacheId,
        revision: RevisionId,
        hash: &StorePathHash,
    ) -> Result<Option<PathRow>> {
        asking!(self, |connection| views::path(connection, cache, revision, hash).await)
    }

    async fn find_promoted_nar(
        &self,
        cache: CacheId,
        revision: RevisionId,
        file_hash: &FileHash,
    ) -> Result<Option<NarFile>> {
        asking!(self, |connection| views::nar(connection, cache, revision, file_hash).await)
    }

    async fn promoted_paths(
        &self,
        cache: CacheId,
        after: Option<StorePathHash>,
        limit: u32,
    ) -> Result<Vec<StorePathHash>> {
        asking!(self, |connection| views::paths(connection, cache, after, limit).await)
    }

    async fn record_receipt(&self, tag: TagId, receipt: &Receipt) -> Result<Receipt> {
        writing!(self, |transaction| receipts::record(transaction, tag, receipt).await)
    }

    async fn receipts(&self, tag: TagId) -> Result<Vec<Receipt>> {
        asking!(self, |connection| receipts::list(connection, tag).await)
    }

    async fn holdings(&self, hash: &StorePathHash) -> Result<Vec<(StorePath, Holding)>> {
        asking!(self, |connection| views::holdings(connection, hash).await)
    }

    async fn promotions_of_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Vec<PathPromotion>> {
        asking!(self, |connection| views::of_path(connection, cache, hash).await)
    }
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
