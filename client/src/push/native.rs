//! Native push: only the chunks that the cache has never seen, many paths in one request.
//!
//! Data runs in one line. A reader cuts the NARs of many paths into chunks, batch by batch ([`cutting`]); each batch is asked about
//! ([`asking`]); what is missing is compressed on all cores ([`packing`]) and goes out, in order, in as few requests as the limits
//! allow ([`sending`]). A path that is larger than a batch goes out in parts while it is read. What all of them know of a path is in
//! the [`ledger`]; the [`window`] bounds what they hold. If anything breaks, the next round begins anew with what is not in the cache
//! yet ([`rounds`]).

mod asking;
mod cutting;
mod ledger;
mod packing;
mod pumping;
mod rounds;
mod sending;
mod survey;
mod window;

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
};

use protocol::{ErrorCode, push::PushParameters};

use super::upload::Uploader;
use crate::api::ApiError;

pub(super) use rounds::push;
pub use survey::Survey;
pub(super) use survey::survey;

/// Which protocol a push speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProtocolChoice {
    /// The native one if the server has it, else Attic's.
    #[default]
    Auto,
    /// The native one, or nothing.
    Native,
    /// Attic's.
    Attic,
}

/// How a push uses the machine and the network.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Which protocol to speak.
    pub protocol: ProtocolChoice,
    /// How many bytes of chunks may be held in memory.
    pub window_bytes: usize,
    /// The largest request, in bytes; by default what the server takes.
    pub max_request_bytes: Option<NonZeroU64>,
    /// On how many cores to compress; by default on all.
    pub compression_jobs: Option<NonZeroUsize>,
    /// The level of zstd; by default the server's.
    pub level: Option<i32>,
    /// The most bytes to send in a second.
    pub limit_rate: Option<NonZeroU64>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            protocol: ProtocolChoice::Auto,
            window_bytes: 64 << 20,
            max_request_bytes: None,
            compression_jobs: None,
            level: None,
            limit_rate: None,
        }
    }
}

/// What a push was like on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transfer {
    /// How many requests were made, from the first question about the cache on.
    pub requests: u64,
    /// How many bytes their bodies had.
    pub wire_bytes: u64,
    /// How many chunks the paths were cut into; 0 if the protocol was Attic's.
    pub chunks: u64,
    /// How many of them were sent.
    pub chunks_sent: u64,
}

/// What a chunk takes on the wire beside its contents, at most: kind, length, digest and size of the message, what zstd adds to a
/// small frame, and its place in a manifest.
const MESSAGE_BYTES: usize = 256;
/// What the metadata of a path take, as far as room is made for them in advance.
const MAX_INFO_BYTES: u64 = 4 << 10;

/// What the stages of one push share.
#[derive(Clone)]
struct Context {
    uploader: Arc<Uploader>,
    parameters: PushParameters,
    tuning: Tuning,
}

impl Context {
    /// The largest request. A server's own limit holds whatever was asked for.
    fn max_request_bytes(&self) -> u64 {
        let asked = self.tuning.max_request_bytes.map_or(u64::MAX, NonZeroU64::get);
        asked.min(self.parameters.max_stream_bytes).max(1)
    }

    /// Whether a path of this size fits into one request, whatever of it is new.
    fn fits_in_one(&self, nar_size: u64) -> bool {
        self.most_on_the_wire(nar_size) + MAX_INFO_BYTES < self.max_request_bytes()
    }

    /// No more bytes than that follow the opening of a path.
    fn most_on_the_wire(&self, nar_size: u64) -> u64 {
        // Every small chunk has a large one, or enough small files, beside it.
        let chunks = 2 * (nar_size / self.parameters.chunking.min_size().max(1) as u64 + 1);
        let frames = usize::try_from(nar_size).map_or(0, zstd::zstd_safe::compress_bound);
        (frames as u64).max(nar_size) + chunks * MESSAGE_BYTES as u64
    }

    /// Something on this machine that broke while chunks were compressed.
    fn broken(&self, error: &std::io::Error) -> ApiError {
        self.uploader.api.refusal(
            &self.uploader.cache,
            ErrorCode::InvalidChunk,
            format!("A chunk cannot be compressed: {error}."),
        )
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
