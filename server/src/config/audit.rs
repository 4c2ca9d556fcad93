//! `[flywheel.audit]`: how much is remembered of administrative acts.

use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// `[flywheel.audit]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Audit {
    /// How long.
    pub keep: HumanDuration,
    /// How many at most.
    pub max_rows: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { keep: HumanDuration::from_secs(31_557_600), max_rows: 1_000_000 }
    }
}
