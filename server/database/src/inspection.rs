//! Going through the whole index, page by page: for `fsck`, the scrub and the statistics.
//!
//! A page is what stands behind a key, in its order, at most so many rows of it: whoever goes through a table holds one page in
//! memory, and no statement takes longer than its page. What comes or goes meanwhile may be seen or missed.

use async_trait::async_trait;
use formats::{FileHash, NarHash, StorePath, StorePathHash};
use protocol::{ChunkHash, Timestamp};

use crate::{
    CacheId, ChunkId, ChunkLocation, ChunkRuns, Document, DocumentKind, NarId, PackId, PackName, Result, RunsError,
};

/// A pack, as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRow {
    /// Its row.
    pub id: PackId,
    /// Its name.
    pub name: PackName,
    /// The length of the object, in bytes.
    pub size: u64,
}

/// A chunk, whether it is damaged or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRow {
    /// Its name.
    pub hash: ChunkHash,
    /// Where it is.
    pub location: ChunkLocation,
    /// Whether it has been found damaged.
    pub is_damaged: bool,
}

/// A NAR, whether it is in quarantine or not. Its manifests may be malformed, which is for whoever looks to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarRow {
    /// Its row.
    pub id: NarId,
    /// SHA-256 of the NAR.
    pub nar_hash: NarHash,
    /// Its size in bytes.
    pub nar_size: u64,
    /// SHA-256 of what is served.
    pub file_hash: FileHash,
    /// Its length in bytes.
    pub file_size: u64,
    /// Its chunks, in order.
    pub manifest: std::result::Result<ChunkRuns, RunsError>,
    /// The chunks of its listing.
    pub listing: Option<std::result::Result<ChunkRuns, RunsError>>,
    /// Whether it is hidden because stored bytes are damaged.
    pub is_quarantined: bool,
}

/// A path of a cache, as far as it refers to other rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathLinks {
    /// The path.
    pub path: StorePath,
    /// The NAR that it names.
    pub nar: NarId,
    /// Whether that NAR has a row.
    pub has_nar: bool,
    /// What it refers to.
    pub references: Vec<StorePath>,
}

/// A path of a cache, with what its NAR takes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathSize {
    /// The path.
    pub path: StorePath,
    /// Its NAR.
    pub nar: NarId,
    /// The size of the NAR, in bytes.
    pub nar_size: u64,
    /// The length of what is served, in bytes.
    pub file_size: u64,
    /// The chunks of the NAR; none if the row cannot be read.
    pub manifest: ChunkRuns,
    /// When the path came.
    pub created_at: Timestamp,
}

/// What a chunk takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSize {
    /// Its row.
    pub id: ChunkId,
    /// The length of the frame, in bytes.
    pub stored_size: u32,
    /// The length of the chunk, uncompressed, in bytes.
    pub size: u32,
}

/// How far the scrub has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubProgress {
    /// The last pack whose frames were read in this round.
    pub after_pack: i64,
    /// The last NAR that was hashed in this round; NARs come when the packs are done.
    pub after_nar: i64,
    /// When this round began; 0 if none has.
    pub began_at: i64,
    /// The bytes that were read in this round.
    pub read_bytes: u64,
    /// What was found broken in this round.
    pub found: u64,
    /// When the last whole round ended; 0 if none has.
    pub ended_at: i64,
    /// What it had found broken.
    pub last_found: u64,
}

/// What the statistics were at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// When they were taken.
    pub taken_at: Timestamp,
    /// The figures, as JSON; the index does not look into them.
    pub figures: String,
}

/// Hits and misses of a cache on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// The cache.
    pub cache: CacheId,
    /// The day, in days since 1970.
    pub day: i64,
    /// narinfos that were there.
    pub hits: u64,
    /// narinfos that were not.
    pub misses: u64,
}

/// Going through everything, and settling what does not fit together.
#[async_trait]
pub trait Inspection {
    /// The packs behind `after`.
    async fn list_packs(&self, after: PackId, limit: u32) -> Result<Vec<PackRow>>;

    /// For each name, the pack that has it. At most a few thousand names a call.
    async fn find_packs(&self, names: &[PackName]) -> Result<Vec<Option<PackRow>>>;

    /// Every chunk of a pack, in the order of their places. A pack has a bounded size, and so many chunks.
    async fn list_pack_chunks(&self, pack: PackId) -> Result<Vec<ChunkRow>>;

    /// The chunks of a manifest that have a row, in its order; those that have none are left out.
    async fn examine_chunks(&self, runs: &ChunkRuns) -> Result<Vec<ChunkRow>>;

    /// The NARs behind `after`.
    async fn list_nars(&self, after: NarId, limit: u32) -> Result<Vec<NarRow>>;

    /// Some paths that have this NAR, in caches that are there.
    async fn list_nar_paths(&self, nar: NarId, limit: u32) -> Result<Vec<(CacheId, StorePath)>>;

    /// The paths of a cache behind `after`, by hash.
    async fn list_path_links(&self, cache: CacheId, after: Option<StorePathHash>, limit: u32)
    -> Result<Vec<PathLinks>>;

    /// The documents of a cache behind `after`, by the texts of their kinds and names.
    async fn list_documents(
        &self,
        cache: CacheId,
        after: Option<(DocumentKind, &str)>,
        limit: u32,
    ) -> Result<Vec<(DocumentKind, String, Document)>>;

    /// Replaces the listing of a NAR, if it is still `was`; `false` if it is not.
    async fn set_listing(&self, nar: NarId, was: Option<&ChunkRuns>, listing: Option<&ChunkRuns>) -> Result<bool>;

    /// Forgets a document, if it still has these chunks; `false` if it has not.
    async fn drop_document(&self, cache: CacheId, kind: DocumentKind, name: &str, was: &ChunkRuns) -> Result<bool>;

    /// Forgets a path whose NAR has no row; `false` if it has one.
    async fn drop_path_without_nar(&self, cache: CacheId, hash: &StorePathHash) -> Result<bool>;

    /// Forgets a pack of which no chunk has a row; `false` if one has.
    async fn drop_empty_pack(&self, pack: PackId) -> Result<bool>;

    /// How many NARs are in quarantine.
    async fn quarantined_nars(&self) -> Result<u64>;

    /// The sizes of the paths of a cache behind `after`, by hash; those in quarantine are left out.
    async fn list_path_sizes(&self, cache: CacheId, after: Option<StorePathHash>, limit: u32) -> Result<Vec<PathSize>>;

    /// The sizes of the undamaged chunks behind `after`.
    async fn list_chunk_sizes(&self, after: ChunkId, limit: u32) -> Result<Vec<ChunkSize>>;

    /// How far the scrub has come.
    async fn scrub_progress(&self) -> Result<ScrubProgress>;

    /// Keeps how far the scrub has come.
    async fn keep_scrub_progress(&self, progress: &ScrubProgress) -> Result<()>;

    /// The latest figures of each of the last `days` days that have any, newest first.
    async fn list_censuses(&self, days: u32) -> Result<Vec<Census>>;

    /// Keeps the figures, in place of earlier ones of the same day.
    async fn keep_census(&self, census: &Census) -> Result<()>;

    /// Adds to the hits and misses of caches; one that is gone is passed over.
    async fn add_traffic(&self, traffic: &[Traffic]) -> Result<()>;

    /// Hits and misses of every cache that is there, from `day` on.
    async fn list_traffic(&self, day: i64) -> Result<Vec<Traffic>>;
}
