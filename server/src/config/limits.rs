//! `[flywheel.limits]`: what one request may cost.

use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Serialize};

use super::{ByteSize, HumanDuration};

/// `[flywheel.limits]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// The largest NAR, unpacked.
    pub max_nar_size: ByteSize,
    /// The largest body of an upload, as it is sent.
    pub max_upload_size: ByteSize,
    /// The largest log, listing or realisation.
    pub max_document_size: ByteSize,
    /// How many uploads are worked on at a time; more wait.
    pub max_concurrent_uploads: NonZeroU16,
    /// How much of NARs is in memory at a time for all who download.
    pub max_read_memory: ByteSize,
    /// How long a request's head may take from its first byte.
    pub head_timeout: HumanDuration,
    /// How long a connection is kept on which no request is being answered.
    pub idle_timeout: HumanDuration,
    /// How long a body may stand still, in either direction.
    pub body_idle_timeout: HumanDuration,
    /// How many bytes one byte of a compressed body may unpack to, on the whole.
    pub max_decompression_ratio: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_nar_size: ByteSize(64 << 30),
            max_upload_size: ByteSize(64 << 30),
            max_document_size: ByteSize(64 << 20),
            max_concurrent_uploads: const { NonZeroU16::new(16).unwrap() },
            max_read_memory: ByteSize(128 << 20),
            head_timeout: HumanDuration::from_secs(30),
            idle_timeout: HumanDuration::from_secs(120),
            body_idle_timeout: HumanDuration::from_secs(60),
            // Real files of zeros reach some 1000 in gzip and 7000 in xz; the NAR's own limit bounds what a ratio does not.
            max_decompression_ratio: const { NonZeroU32::new(10_000).unwrap() },
        }
    }
}
