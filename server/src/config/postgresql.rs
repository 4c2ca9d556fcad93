//! `[flywheel.postgresql]`: how the index on PostgreSQL is reached, beside its URL.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// `[flywheel.postgresql]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Postgresql {
    /// The most connections that this server holds open.
    pub max_connections: NonZeroU16,
    /// How long a server that starts waits for the database to be there.
    pub start_timeout: HumanDuration,
}

impl Default for Postgresql {
    fn default() -> Self {
        Self { max_connections: const { NonZeroU16::new(8).unwrap() }, start_timeout: HumanDuration::from_secs(300) }
    }
}
