//! `[flywheel.promotion]`: what is promoted, and how long it is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// `[flywheel.promotion]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Promotion {
    /// The file that says what is asked of claims; a strict policy is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<PathBuf>,
    /// How many superseded revisions of a tag are kept in any case.
    pub keep_revisions: usize,
    /// For how long superseded revisions are kept in any case.
    pub keep_for: HumanDuration,
}

impl Default for Promotion {
    fn default() -> Self {
        Self { policy_file: None, keep_revisions: 5, keep_for: HumanDuration::from_secs(30 * 86_400) }
    }
}
