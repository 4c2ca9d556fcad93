//! Records of what happened to caches and to what is in them, beside being pushed.

use protocol::Scope;
use serde::{Deserialize, Serialize};

/// A cache as it is from this record's stamp on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// Its name.
    pub name: String,
    /// Its settings and keys; none if it was deleted, with all that was in it.
    pub state: Option<CacheState>,
}

/// The settings and keys of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheState {
    /// Whether anybody may pull.
    pub is_public: bool,
    /// The store dir of its paths.
    pub store_dir: String,
    /// Its priority among substituters.
    pub priority: i32,
    /// Names of keys whose paths clients need not push.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstream_key_names: Vec<String>,
    /// How long unused paths are kept, in seconds; none is as the configuration says, 0 is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<u32>,
    /// The keys that sign its narinfos, newest first.
    pub keys: Vec<KeyRecord>,
    /// Beyond this many bytes the least recently used paths go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Beyond this many bytes pushes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// Whether it takes nothing in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_read_only: bool,
    /// The keys that sign its views, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promotion_keys: Vec<KeyRecord>,
    /// Paths that are kept, oldest first within a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinRecord>,
}

/// A path that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRecord {
    /// The name of the pin.
    pub name: String,
    /// The base name of the path.
    pub path: String,
    /// When it was pinned, in seconds since 1970.
    pub at: i64,
    /// Until when, if not for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Who pinned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_by: Option<String>,
}

/// A key of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its public half, as clients trust it.
    pub public: String,
    /// Its secret half, sealed and in base64; none if the server had nothing to seal it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

/// What is gone: records of it that are not later than this record's stamp say nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// A path of a cache.
    Path {
        /// The name of the cache.
        cache: String,
        /// The hash part of the path.
        hash: String,
    },
    /// A document of a cache.
    Document {
        /// The name of the cache.
        cache: String,
        /// Its kind, as the index spells it.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A NAR, in whatever cache.
    Nar {
        /// Its hash, as Nix writes it.
        nar_hash: String,
    },
}

/// A path that was pushed with another NAR than its cache had: records of it with this NAR that are not later say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeptOutRecord {
    /// The name of the cache.
    pub cache: String,
    /// The hash part of the path.
    pub hash: String,
    /// The NAR that stayed out, as Nix writes its hash.
    pub nar_hash: String,
}

/// A frame whose bytes are damaged: it counts as not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DamageRecord {
    /// The name of the pack, in hex.
    pub pack: String,
    /// Where the frame begins in the pack, in bytes.
    pub offset: u64,
}

/// Tokens that are not good any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// One token.
    Token {
        /// Its `jti`.
        id: String,
        /// Whom it was made for.
        subject: String,
        /// What it was good for.
        scope: Scope,
        /// When it was made, in seconds since 1970.
        created_at: i64,
        /// When it ends, in seconds since 1970.
        expires_at: i64,
        /// Who made it.
        minted_by: String,
        /// When it was revoked, in seconds since 1970.
        at: i64,
    },
    /// All tokens of a subject that were made until then.
    Subject {
        /// Whose.
        subject: String,
        /// Until when, in seconds since 1970.
        at: i64,
    },
}
