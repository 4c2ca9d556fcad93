//! What the storage remembers of promotion.

use async_trait::async_trait;
use formats::SecretKey;
use protocol::CacheName;
pub use protocol::promotion::{
    AttestedFact, ClaimFact, ObservedFact, PromotionFact, ReceiptFact, ResolvedFact, RevisionFact, TagFact, VerdictFact,
};

use crate::{CacheId, Result};

/// A row that has changed since the storage was last told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrecorded {
    /// Names this change.
    pub id: i64,
    /// The cache that it is about.
    pub cache: CacheName,
    /// What has changed.
    pub kind: UnrecordedKind,
    /// Which of that kind.
    pub row: i64,
}

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnrecordedKind {
    /// A claim.
    Claim,
    /// A verdict.
    Verdict,
    /// A revision of a tag.
    Revision,
    /// A tag.
    Tag,
    /// A receipt.
    Receipt,
    /// The promotion keys of a cache.
    Keys,
    /// A version of a cache's policy.
    Policy,
}

impl UnrecordedKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Claim, Self::Verdict, Self::Revision, Self::Tag, Self::Receipt, Self::Keys, Self::Policy];

    /// The kind as the index spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Verdict => "verdict",
            Self::Revision => "revision",
            Self::Tag => "tag",
            Self::Receipt => "receipt",
            Self::Keys => "keys",
            Self::Policy => "policy",
        }
    }
}

/// What the storage has to be told of promotion, and has told when the index is made anew.
///
/// Every method of [`crate::Promotions`] that changes a claim, a tag or a key notes in the same transaction that the storage has to be told.
#[async_trait]
pub trait PromotionRecords {
    /// What the storage was not told yet, what changed first coming first.
    async fn unrecorded(&self, limit: u32) -> Result<Vec<Unrecorded>>;

    /// What has changed, as it is by now; nothing if it is gone, or is a key, which is a secret.
    async fn promotion_fact(&self, of: &Unrecorded) -> Result<Option<PromotionFact>>;

    /// Notes that the storage was told of these changes.
    async fn forget_unrecorded(&self, ids: &[i64]) -> Result<()>;

    /// The keys that sign a cache's views, newest first; none are made.
    async fn find_promotion_keys(&self, cache: CacheId) -> Result<Vec<SecretKey>>;

    /// Puts something back as a record has it. What belongs to something that is not there is left out; `false` says so. A claim that
    /// was still to be verified is verified anew.
    async fn restore_promotion(&self, cache: CacheId, fact: &PromotionFact) -> Result<bool>;
}
