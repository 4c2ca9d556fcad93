//! What is asked of claims to a cache, as an admin has said it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;

/// A version of a cache's own policy. Its rules are those of a policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CachePolicy {
    /// Counts the cache's versions from 1.
    pub number: i64,
    /// What is asked; nothing if the cache has no policy of its own from here on.
    pub rules: Option<Value>,
    /// Who said so.
    pub set_by: String,
    /// When.
    pub at: Timestamp,
}

/// Asks for another policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPolicy {
    /// What is to be asked; nothing for what the server asks of all caches.
    pub rules: Option<Value>,
    /// The number of the version that is in effect, 0 if the cache never had one.
    pub expected: i64,
}
