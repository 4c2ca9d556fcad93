//! NARs and chunks.

use async_trait::async_trait;
use protocol::Timestamp;

use crate::{ChunkId, ChunkRuns, NarId, Result};

/// A NAR, by its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarChunks {
    /// Its row.
    pub id: NarId,
    /// Whether a path or an upload has it.
    pub is_used: bool,
    /// Whether it is hidden already.
    pub is_quarantined: bool,
    /// Its chunks.
    pub manifest: ChunkRuns,
    /// The chunks of its listing.
    pub listing: Option<ChunkRuns>,
}

/// The last rows at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watermark {
    /// The last chunk.
    pub chunk: i64,
    /// The last pack.
    pub pack: i64,
}

/// Which NARs and chunks go once no path has them.
#[async_trait]
pub trait ChunkCollection {
    /// A page of NARs.
    async fn scan_nars(&self, after: Option<NarId>, limit: u32) -> Result<Vec<NarChunks>>;

    /// Removes NARs, each if nothing has it; says how many went.
    async fn remove_nars(&self, nars: &[NarId]) -> Result<u64>;

    /// The last rows there are.
    async fn last_rows(&self) -> Result<Watermark>;

    /// Writes down that these were the last rows.
    async fn note_watermark(&self, watermark: Watermark, now: Timestamp) -> Result<()>;

    /// The last rows at `at`, as far as was written down; forgets those from long before.
    async fn watermark_at(&self, at: Timestamp) -> Result<Watermark>;

    /// Ranges of chunks behind `after` and up to `last` that are not condemned, as first and last id; at most `limit` chunks.
    async fn scan_chunks(&self, after: i64, last: i64, limit: u32) -> Result<Vec<(i64, i64)>>;

    /// Condemns the chunks of these ranges.
    async fn condemn_chunks(&self, ranges: &[(i64, i64)], now: Timestamp) -> Result<u64>;

    /// A page of condemned chunks.
    async fn condemned_chunks(&self, after: i64, limit: u32) -> Result<Vec<(ChunkId, Timestamp)>>;

    /// Lifts the sentence from the chunks of these ranges.
    async fn spare_chunks(&self, ranges: &[(i64, i64)]) -> Result<u64>;

    /// Removes the chunks of these ranges, each if it is condemned since `condemned` at the latest; says how many went.
    async fn remove_chunks(&self, ranges: &[(i64, i64)], condemned: Timestamp) -> Result<u64>;

    /// Every damaged chunk.
    async fn damaged_chunks(&self, after: i64, limit: u32) -> Result<Vec<ChunkId>>;
}
