//! What an admin asks of claims to a cache, and what others attest about claims.

use async_trait::async_trait;
use protocol::promotion::{CachePolicy, SentAttestation};

use crate::{CacheId, ClaimId, Result};

/// Policies of caches, and attestations.
#[async_trait]
pub trait PromotionRules {
    /// The versions of a cache's own policy, newest first; the first one counts.
    async fn policies(&self, cache: CacheId, limit: u32) -> Result<Vec<CachePolicy>>;

    /// Adds a version, if none of its number or above is there; says whether.
    async fn set_policy(&self, cache: CacheId, policy: &CachePolicy) -> Result<bool>;

    /// Keeps what was attested about a claim, each envelope once.
    async fn attest(&self, claim: ClaimId, attestation: &SentAttestation) -> Result<()>;

    /// What was attested about a claim, oldest first.
    async fn attestations(&self, claim: ClaimId) -> Result<Vec<SentAttestation>>;
}
