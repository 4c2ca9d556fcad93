//! `[storage.cache]`: what is kept on this machine of a bucket that is far away.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ByteSize;

/// `[storage.cache]`; off, as it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadCache {
    /// How many bytes are kept in memory.
    pub memory: ByteSize,
    /// How many bytes are kept on disk.
    pub disk: ByteSize,
    /// The folder for them; `read-cache` in the data folder if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

impl Default for ReadCache {
    fn default() -> Self {
        Self { memory: ByteSize(0), disk: ByteSize(0), path: None }
    }
}

impl ReadCache {
    /// Whether nothing is kept.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.memory.0 == 0 && self.disk.0 == 0
    }
}
