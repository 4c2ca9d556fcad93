//! `[garbage-collection]`: how long paths are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// `[garbage-collection]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GarbageCollection {
    /// How often to collect; zero is never.
    pub interval: HumanDuration,
    /// How long a path stays after its last use; zero is for ever.
    pub default_retention_period: HumanDuration,
}

impl GarbageCollection {
    /// How often to collect, if at all.
    #[must_use]
    pub fn every(&self) -> Option<Duration> {
        Some(self.interval.0).filter(|d| !d.is_zero())
    }

    /// How long a path stays after its last use, if not for ever.
    #[must_use]
    pub fn retention(&self) -> Option<Duration> {
        Some(self.default_retention_period.0).filter(|d| !d.is_zero())
    }
}

impl Default for GarbageCollection {
    /// As Attic's: twice a day, and nothing expires.
    fn default() -> Self {
        Self { interval: HumanDuration::from_secs(12 * 3600), default_retention_period: HumanDuration::from_secs(0) }
    }
}
