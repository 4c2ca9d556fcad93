//! `[flywheel.inspection]`: how the store is looked through.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ByteSize, HumanDuration};
use crate::inspect::scrub;

/// `[flywheel.inspection]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Inspection {
    /// How many bytes the scrub reads in a second; zero is no scrub.
    pub scrub_rate: ByteSize,
    /// How long after a round of the scrub the next one begins.
    pub scrub_interval: HumanDuration,
    /// How often the statistics are taken; zero is never.
    pub stats_interval: HumanDuration,
}

impl Default for Inspection {
    fn default() -> Self {
        Self {
            scrub_rate: ByteSize(0),
            scrub_interval: HumanDuration::from_secs(7 * 86_400),
            stats_interval: HumanDuration::from_secs(6 * 3600),
        }
    }
}

impl Inspection {
    /// How to scrub, if at all.
    #[must_use]
    pub fn scrub(&self) -> Option<scrub::Options> {
        let (bytes_per_second, interval) = (self.scrub_rate.0, self.scrub_interval.0);
        let interval = interval.max(Duration::from_secs(1));
        (bytes_per_second > 0).then_some(scrub::Options { bytes_per_second, interval })
    }

    /// How often the statistics are taken, if at all.
    #[must_use]
    pub fn stats_every(&self) -> Option<Duration> {
        Some(self.stats_interval.0)
            .filter(|interval| !interval.is_zero())
            .map(|every| every.max(Duration::from_secs(1)))
    }
}
