//! Facts about promotion, as the storage keeps them.

use formats::{NarHash, Sha256, StorePath, StorePathHash};
use serde::{Deserialize, Serialize};

use super::{
    Builder, CachePolicy, ClaimRequest, ClaimState, Observation, PromotionManifest, Receipt, Report, Resolution,
    Revision, SentAttestation, TagKind, TagName, Visibility,
};
use crate::Timestamp;

/// Something of promotion as it is at a moment; it takes the place of what was said of the same thing before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromotionFact {
    /// A claim, and where it stands.
    Claim(Box<ClaimFact>),
    /// What was found of a claim.
    Verdict(Box<VerdictFact>),
    /// What a builder saw.
    Observed(ObservedFact),
    /// How a disagreement was settled.
    Resolved(ResolvedFact),
    /// A tag.
    Tag(TagFact),
    /// A revision of a tag.
    Revision(Box<RevisionFact>),
    /// What left.
    Receipt(ReceiptFact),
    /// What is asked of claims.
    Policy(CachePolicy),
    /// What was attested about a claim.
    Attested(AttestedFact),
}

/// A claim, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimFact {
    /// Its number.
    pub number: i64,
    /// SHA-256 of what is claimed and by whom.
    pub digest: Sha256,
    /// What is claimed.
    pub claim: ClaimRequest,
    /// By whom.
    pub builder: Builder,
    /// When.
    pub filed_at: Timestamp,
    /// Where it stands.
    pub state: ClaimState,
    /// Why it stands there, if somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was found last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// What was found of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictFact {
    /// The number of the claim.
    pub claim: i64,
    /// What was found.
    pub report: Report,
    /// Of which closure.
    pub manifest: PromotionManifest,
    /// When.
    pub at: Timestamp,
}

/// What a builder saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedFact {
    /// Who.
    pub builder: String,
    /// What.
    pub seen: Vec<Observation>,
    /// When.
    pub at: Timestamp,
}

/// How a disagreement was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedFact {
    /// About which path.
    pub path: StorePath,
    /// How.
    pub resolution: Resolution,
}

/// What was attested about a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestedFact {
    /// The number of the claim.
    pub claim: i64,
    /// What was sent.
    pub sent: SentAttestation,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagFact {
    /// Its name.
    pub name: TagName,
    /// Whether it moves.
    pub kind: TagKind,
    /// Who may see its view.
    pub visibility: Visibility,
    /// The number of the revision that it last got.
    pub last_number: i64,
    /// The number of the revision that it points at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<i64>,
}

/// A revision of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionFact {
    /// Of which tag.
    pub tag: TagName,
    /// Whether that moves.
    pub kind: TagKind,
    /// Where it stands, and what it points at.
    pub revision: Revision,
    /// If it is kept, its closures: the number of the claim, the path, and the NAR that was verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<(i64, StorePathHash, NarHash)>,
}

/// What left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptFact {
    /// Of which tag.
    pub tag: TagName,
    /// The receipt.
    pub receipt: Receipt,
}
