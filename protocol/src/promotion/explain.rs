//! What can be said of a path.

use formats::{NarHash, StorePath};
use serde::{Deserialize, Serialize};

use super::{ClaimAnswer, ClaimState, TagName, Visibility};
use crate::{CacheName, Timestamp};

/// Everything that a caller may know of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The path.
    pub path: StorePath,
    /// The caches that have it, of those that the caller may pull from.
    pub held: Vec<Holding>,
    /// The claims that it is an output of.
    pub claims: Vec<ClaimAnswer>,
    /// The tags whose closures it is in.
    pub promoted: Vec<PathPromotion>,
    /// What builders saw of it.
    pub seen: Vec<Seen>,
    /// How disagreement about it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// The pins that keep it by its name, besides tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<String>,
    /// For each claim that is clean, what stands in the way of promoting it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prospects: Vec<Prospect>,
    /// The same in plain words, a line each.
    pub words: Vec<String>,
}

/// What stands in the way of promoting a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prospect {
    /// The claim.
    pub claim: i64,
    /// What stands in the way; nothing if it can be promoted.
    pub obstacles: Vec<String>,
    /// Whether it can be promoted publicly.
    pub is_publishable: bool,
}

/// A cache that has the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Which.
    pub cache: CacheName,
    /// Whether anybody may pull from it.
    pub is_public: bool,
    /// The hash of the NAR that it has.
    pub nar_hash: NarHash,
    /// Who pushed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<String>,
    /// When.
    pub pushed_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// Since when it is hidden because its bytes are damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_at: Option<Timestamp>,
}

/// A tag whose closure the path is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathPromotion {
    /// The tag.
    pub tag: TagName,
    /// Who may substitute from its view.
    pub visibility: Visibility,
    /// The revision.
    pub revision: i64,
    /// Whether the tag points at it now; else it is kept for a rollback.
    pub is_current: bool,
    /// Who decided.
    pub moved_by: String,
    /// When.
    pub at: Timestamp,
}

/// What a builder saw of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Of which.
    pub path: StorePath,
    /// Who.
    pub builder: String,
    /// The NAR hash.
    pub nar_hash: NarHash,
    /// When.
    pub at: Timestamp,
}

/// How a disagreement was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The NAR hash that counts.
    pub nar_hash: NarHash,
    /// Why.
    pub reason: String,
    /// Who said so.
    #[serde(default)]
    pub resolved_by: String,
    /// When; what was seen later is a disagreement again.
    #[serde(default)]
    pub at: Timestamp,
}

/// A claim that could be promoted, or what stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The claim.
    pub claim: i64,
    /// Its attribute, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// What it came to.
    pub outputs: Vec<StorePath>,
    /// Where it stands.
    pub state: ClaimState,
    /// Whether an internal tag could be moved onto it now.
    pub is_promotable: bool,
    /// Whether a public one could.
    pub is_publishable: bool,
    /// What stands in the way.
    pub obstacles: Vec<String>,
    /// The tags that point at it.
    pub tags: Vec<TagName>,
}
