//! `[flywheel.collection]`: how what is not kept any more goes.

use serde::{Deserialize, Serialize};

use super::{ByteSize, HumanDuration};

/// `[flywheel.collection]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Collection {
    /// How long what was found unused stays, in case that somebody uses it.
    pub grace: HumanDuration,
    /// How long an upload may take from its first chunk to its narinfo.
    pub upload_lease: HumanDuration,
    /// How many bytes all caches may hold together before the least recently used paths go; 0 is no limit.
    pub max_size: ByteSize,
    /// Packs are rewritten when less of them is in use, in percent.
    pub rewrite_below: u8,
}

impl Default for Collection {
    fn default() -> Self {
        Self {
            grace: HumanDuration::from_secs(3600),
            upload_lease: HumanDuration::from_secs(24 * 3600),
            max_size: ByteSize(0),
            rewrite_below: 80,
        }
    }
}
