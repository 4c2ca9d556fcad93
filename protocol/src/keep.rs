//! Pins and limits of caches, as the API has them.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A revision of a pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinInfo {
    /// Its name within the cache.
    pub name: String,
    /// Its revision, from 1.
    pub revision: u32,
    /// The base name of the path that is kept.
    pub path: String,
    /// When it was pinned.
    pub created_at: Timestamp,
    /// Until when, if not for ever.
    pub expires_at: Option<Timestamp>,
    /// Who pinned it.
    pub pinned_by: Option<String>,
}

/// The pins of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinList {
    /// By name and revision.
    pub pins: Vec<PinInfo>,
}

/// A path to be pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// The store path, or its base name.
    pub store_path: String,
    /// How many revisions of the name to keep, this one among them; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_revisions: Option<u32>,
    /// How long to keep it, in seconds; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
}

/// The limits of a cache; in a request, those that are given are changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsInfo {
    /// Beyond this many bytes the least recently used paths go; 0 is no limit.
    pub max_size: Option<u64>,
    /// Beyond this many bytes pushes are refused; 0 is no limit.
    pub quota: Option<u64>,
    /// Whether it takes nothing in.
    pub read_only: Option<bool>,
    /// How much it holds, in bytes; in answers only.
    pub used: Option<u64>,
}
