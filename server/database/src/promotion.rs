//! Claims, verdicts, tags and what they keep.

use async_trait::async_trait;
use formats::{FileHash, NarHash, SecretKey, Sha256, StorePath, StorePathHash};
use protocol::{
    CacheName, Timestamp,
    promotion::{
        Builder, ClaimRequest, ClaimState, Holding, Observation, PathPromotion, Progress, PromotionManifest, Receipt,
        Report, Resolution, Revision, RevisionState, Seen, TagKind, TagName, Visibility,
    },
};

use crate::{Cache, CacheId, NarFile, PathRow, Result};

/// The row of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId(pub i64);

/// The row of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId(pub i64);

/// The row of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionId(pub i64);

/// A claim to be filed.
#[derive(Debug, Clone)]
pub struct NewClaim {
    /// The cache that has, or will have, its outputs.
    pub cache: CacheId,
    /// SHA-256 of what is claimed and by whom.
    pub digest: Sha256,
    /// What is claimed.
    pub claim: ClaimRequest,
    /// By whom.
    pub builder: Builder,
    /// When.
    pub now: Timestamp,
}

/// A claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its row.
    pub id: ClaimId,
    /// The cache that it is about.
    pub cache: CacheId,
    /// The name of that cache.
    pub cache_name: CacheName,
    /// What is claimed.
    pub claim: ClaimRequest,
    /// By whom.
    pub builder: Builder,
    /// Where it stands.
    pub state: ClaimState,
    /// Why it stands there, if somebody said.
    pub reason: Option<String>,
    /// What was found last.
    pub report: Option<Report>,
    /// When it was filed.
    pub filed_at: Timestamp,
    /// How often it was verified in vain.
    pub attempts: u32,
    /// How far its verification is.
    pub progress: Option<Progress>,
}

/// What was found of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was found.
    pub report: Report,
    /// Of which closure.
    pub manifest: PromotionManifest,
}

/// Where a claim goes after it was verified.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Clean, rejected or stalled.
    pub state: ClaimState,
    /// For people, if there is no verdict.
    pub reason: Option<String>,
    /// What was found, if it could be.
    pub report: Option<Report>,
    /// The closure that the report is about; a stalled claim has none.
    pub manifest: Option<PromotionManifest>,
    /// When it is to be looked at again; only if it is stalled.
    pub due_at: Option<Timestamp>,
    /// When it was found.
    pub now: Timestamp,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    /// Its row.
    pub id: TagId,
    /// Its name.
    pub name: TagName,
    /// Whether it moves.
    pub kind: TagKind,
    /// Who may substitute from its view.
    pub visibility: Visibility,
    /// The number of the revision that it last got, whatever became of that.
    pub last_number: i64,
    /// The revision that it points at.
    pub current: Option<(RevisionId, Revision)>,
}

/// A path of a closure that is promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The claim whose closure it is in.
    pub claim: ClaimId,
    /// The path.
    pub hash: StorePathHash,
    /// The NAR that was verified.
    pub nar_hash: NarHash,
}

/// A tag to be moved.
#[derive(Debug, Clone)]
pub struct NewRevision {
    /// The cache.
    pub cache: CacheId,
    /// The tag; made if it is not there.
    pub tag: TagName,
    /// As in [`TagRow`]; cannot change.
    pub kind: TagKind,
    /// As in [`TagRow`].
    pub visibility: Visibility,
    /// The number that [`TagRow::last_number`] must have, 0 for a tag that is not there yet.
    pub expected: i64,
    /// What is remembered; its number and state are set here.
    pub revision: Revision,
    /// Its closures; of a revision that [`Revision::repeats`] another, those of that one are taken instead.
    pub members: Vec<Member>,
}

/// What became of an attempt to move a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It points at this revision now.
    To(i64),
    /// Somebody moved it before; it is at this number.
    Elsewhere(i64),
    /// It is of the other kind, or a release that is there already.
    Fixed,
    /// One of the claims is no longer clean, or the revision to be repeated is no longer kept.
    Gone,
}

/// A cache seen through a tag.
#[derive(Debug, Clone)]
pub struct View {
    /// The cache.
    pub cache: Cache,
    /// Who may see it.
    pub visibility: Visibility,
    /// The revision that the tag points at, if any.
    pub revision: Option<RevisionId>,
    /// The keys that sign it, newest first.
    pub keys: Vec<SecretKey>,
}

/// Claims, verdicts, tags and what they keep.
#[async_trait]
pub trait Promotions {
    /// Files a claim, notes what its builder saw, and tells whether it is new; the same claim by the same builder is filed once.
    async fn file_claim(&self, claim: &NewClaim) -> Result<(Claim, bool)>;

    /// The claim of that number, if it is one of this cache.
    async fn find_claim(&self, cache: CacheId, claim: ClaimId) -> Result<Option<Claim>>;

    /// Claims of a cache, newest first, beginning below `before`.
    async fn list_claims(&self, cache: CacheId, before: Option<ClaimId>, limit: u32) -> Result<Vec<Claim>>;

    /// The claims that have this path among their outputs, newest first, some 100 at most.
    async fn claims_of_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Vec<Claim>>;

    /// Takes the claim that has waited longest, for as long as `until`; nobody else gets it before then.
    async fn take_claim(&self, now: Timestamp, until: Timestamp) -> Result<Option<Claim>>;

    /// Notes how far a verification is and holds the claim until `until`; `false` if it was taken back meanwhile.
    async fn note_progress(&self, claim: ClaimId, progress: Progress, until: Timestamp) -> Result<bool>;

    /// Ends a verification; a claim that was taken back meanwhile stays so.
    async fn settle_claim(&self, claim: ClaimId, verified: &Verified) -> Result<()>;

    /// Has a claim verified again, as soon as may be; `false` if it was taken back.
    async fn requeue_claim(&self, claim: ClaimId, now: Timestamp) -> Result<bool>;

    /// Takes a claim back. Its closure leaves every view.
    async fn retract_claim(&self, claim: ClaimId, state: ClaimState, reason: &str) -> Result<bool>;

    /// What was found of a claim under a policy: that it holds, if it ever did, else what was found last.
    async fn find_verdict(&self, claim: ClaimId, policy: &Sha256) -> Result<Option<Verdict>>;

    /// Notes what a builder saw; what it said before stays.
    async fn observe(&self, cache: CacheId, builder: &str, seen: &[Observation], now: Timestamp) -> Result<()>;

    /// What was seen of these paths, at most some 10,000 a call.
    async fn observations(&self, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<Seen>>;

    /// How disagreement about these paths was settled.
    async fn resolutions(&self, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<(StorePathHash, Resolution)>>;

    /// Settles a disagreement.
    async fn resolve(&self, cache: CacheId, hash: &StorePathHash, resolution: &Resolution) -> Result<()>;

    /// Moves a tag, if it is where it is thought to be.
    async fn move_tag(&self, new: &NewRevision) -> Result<Moved>;

    /// Changes who may see a tag's view; `false` if there is no such tag.
    async fn show_tag(&self, tag: TagId, visibility: Visibility) -> Result<bool>;

    /// The tag of that name.
    async fn find_tag(&self, cache: CacheId, name: &TagName) -> Result<Option<TagRow>>;

    /// Every tag of a cache, by name.
    async fn list_tags(&self, cache: CacheId) -> Result<Vec<TagRow>>;

    /// The revisions of a tag, newest first, beginning below `before`.
    async fn revisions(&self, tag: TagId, before: Option<i64>, limit: u32) -> Result<Vec<(RevisionId, Revision)>>;

    /// Lets go of a revision's closure and notes why; a tag that pointed at it points at nothing.
    async fn end_revision(&self, revision: RevisionId, state: RevisionState, reason: Option<&str>) -> Result<bool>;

    /// The keys that sign a cache's views, newest first; made of `fresh` if there are none.
    async fn promotion_keys(&self, cache: CacheId, fresh: &SecretKey) -> Result<Vec<SecretKey>>;

    /// Replaces the keys that sign a cache's views.
    async fn set_promotion_keys(&self, cache: CacheId, keys: &[SecretKey]) -> Result<()>;

    /// A cache seen through a tag. One look-up.
    async fn find_view(&self, cache: &CacheName, tag: &TagName) -> Result<Option<View>>;

    /// A path of a view: only with the NAR that was verified, and only in a closure none of which is damaged. One look-up.
    async fn find_promoted_path(
        &self,
        cache: CacheId,
        revision: RevisionId,
        hash: &StorePathHash,
    ) -> Result<Option<PathRow>>;

    /// The NAR of a path of a view, by the name under which it is served; as [`Promotions::find_promoted_path`].
    async fn find_promoted_nar(
        &self,
        cache: CacheId,
        revision: RevisionId,
        file_hash: &FileHash,
    ) -> Result<Option<NarFile>>;

    /// The paths of all revisions that are kept, by hash, beginning after `after`.
    async fn promoted_paths(
        &self,
        cache: CacheId,
        after: Option<StorePathHash>,
        limit: u32,
    ) -> Result<Vec<StorePathHash>>;

    /// Notes that something left, and gives the receipt its number.
    async fn record_receipt(&self, tag: TagId, receipt: &Receipt) -> Result<Receipt>;

    /// What left of a tag, newest first, some 1000 at most.
    async fn receipts(&self, tag: TagId) -> Result<Vec<Receipt>>;

    /// The caches that have a path, damaged or not.
    async fn holdings(&self, hash: &StorePathHash) -> Result<Vec<(StorePath, Holding)>>;

    /// The tags that keep a path.
    async fn promotions_of_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Vec<PathPromotion>>;
}
