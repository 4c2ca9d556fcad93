//! Collection: what the collector reads and writes of the index, page by page.
//!
//! Everything goes in two steps: it is condemned, and removed later if it is condemned still. Whatever uses it in between
//! spares it: [`crate::Paths::find_path`] and [`crate::Paths::missing_paths`] spare the paths that they find,
//! [`crate::Chunks::find_chunks`] the chunks, and [`crate::Chunks::commit`] everything that what it commits refers to. A
//! removal sees what was committed before it, and a commit sees what was removed before it: the two never run side by side.

use async_trait::async_trait;
use formats::{FileHash, NarHash, StorePath, StorePathHash};
use protocol::{CacheName, ChunkHash, Timestamp};

use crate::{CacheId, ChunkId, ChunkRuns, DocumentKind, NarId, PackId, PackName, Result};

/// A cache as the collector sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedCache {
    /// Its row.
    pub id: CacheId,
    /// Its name, which another cache may have by now if this one was deleted.
    pub name: CacheName,
    /// As in [`crate::Cache`].
    pub retention: Option<u32>,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
    /// The size beyond which the least recently used paths go, in bytes.
    pub max_size: Option<u64>,
}

/// A path, by its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathAge {
    /// Its hash part.
    pub hash: StorePathHash,
    /// When it was last pushed or asked for.
    pub last_used_at: Timestamp,
    /// Since when it is condemned, if it is.
    pub condemned_at: Option<Timestamp>,
}

/// A path, by what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathReferences {
    /// The path.
    pub path: StorePath,
    /// What it refers to, itself left out.
    pub references: Vec<StorePathHash>,
}

/// A path, by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathWeight {
    /// Its hash part.
    pub hash: StorePathHash,
    /// Its NAR, which other paths may have too.
    pub nar: NarId,
    /// The length of the NAR as it is served, in bytes.
    pub file_size: u64,
}

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

/// A name under which a NAR came by plain PUT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadAge {
    /// The cache.
    pub cache: CacheId,
    /// The name.
    pub file_name: String,
    /// When it came.
    pub created_at: Timestamp,
    /// Whether a path of that cache has the NAR.
    pub is_used: bool,
}

/// A document, by its age and its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentAge {
    /// The cache.
    pub cache: CacheId,
    /// Its kind.
    pub kind: DocumentKind,
    /// Its name.
    pub name: String,
    /// When it came.
    pub created_at: Timestamp,
    /// Its chunks.
    pub manifest: ChunkRuns,
}

/// The last rows at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watermark {
    /// The last chunk.
    pub chunk: i64,
    /// The last pack.
    pub pack: i64,
}

/// A pack, by how much of it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackUse {
    /// Its row.
    pub id: PackId,
    /// Its name.
    pub name: PackName,
    /// The length of the object, in bytes.
    pub size: u64,
    /// Bytes of frames that a chunk has.
    pub live_bytes: u64,
    /// How many chunks that are.
    pub live_chunks: u64,
    /// How many of these are damaged.
    pub damaged_chunks: u64,
    /// What `live_bytes` was when the pack was last looked at and left as it was.
    pub examined_live: Option<u64>,
}

/// A chunk of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedChunk {
    /// Its row.
    pub id: ChunkId,
    /// Its name.
    pub hash: ChunkHash,
    /// As in [`crate::ChunkLocation`].
    pub offset: u64,
    /// As in [`crate::ChunkLocation`].
    pub stored_size: u32,
    /// As in [`crate::ChunkLocation`].
    pub size: u32,
    /// As in [`crate::ChunkLocation`].
    pub check: u32,
    /// Whether its stored bytes are known to be damaged.
    pub is_damaged: bool,
}

/// Chunks whose frames were copied, side by side, from one pack to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedRun {
    /// The pack where they were.
    pub from: PackId,
    /// The first chunk; the ids of the others follow.
    pub first: ChunkId,
    /// The last one.
    pub last: ChunkId,
    /// How much further towards the end of the pack they are now, in bytes.
    pub shift: i64,
}

/// A pack that takes the place of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// The new pack, which is durable; `None` if nothing of the old ones is in use.
    pub pack: Option<(PackName, u64)>,
    /// What was copied into it.
    pub moved: Vec<MovedRun>,
    /// The old ones.
    pub old: Vec<PackId>,
}

/// An object that no pack row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grave {
    /// Its name.
    pub name: PackName,
    /// Its length in bytes.
    pub size: u64,
    /// When it was first seen without a row.
    pub seen_at: Timestamp,
    /// Since when it is to go.
    pub doomed_at: Option<Timestamp>,
    /// When it went.
    pub gone_at: Option<Timestamp>,
}

/// A path that is gone, of which the storage has not been told yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Its row.
    pub id: i64,
    /// The name of the cache.
    pub cache: String,
    /// The path.
    pub path: StorePath,
    /// When it went; whatever the storage says of it from before is void.
    pub removed_at: Timestamp,
}

/// Collection. Only the holder of its lease calls what changes anything; no call takes more than a few thousand rows.
///
/// Pages come in ascending order of their keys, from behind `after` on.
#[async_trait]
pub trait Collection {
    /// Every cache that has rows, deleted ones too.
    async fn collected_caches(&self) -> Result<Vec<CollectedCache>>;

    /// A page of a cache's paths, quarantined ones too.
    async fn scan_paths(&self, cache: CacheId, after: Option<StorePathHash>, limit: u32) -> Result<Vec<PathAge>>;

    /// The same page by references.
    async fn scan_references(
        &self,
        cache: CacheId,
        after: Option<StorePathHash>,
        limit: u32,
    ) -> Result<Vec<PathReferences>>;

    /// The same page by sizes.
    async fn scan_sizes(&self, cache: CacheId, after: Option<StorePathHash>, limit: u32) -> Result<Vec<PathWeight>>;

    /// Condemns paths, each unless it was used after the time beside it; those condemned already keep their time.
    async fn condemn_paths(&self, cache: CacheId, paths: &[(StorePathHash, Timestamp)], now: Timestamp) -> Result<()>;

    /// Lifts the sentence; says for each path whether it is there.
    async fn spare_paths(&self, cache: CacheId, paths: &[StorePathHash]) -> Result<Vec<bool>>;

    /// Removes paths with their listings, each if it is condemned since `condemned` at the latest, and says which went. What
    /// went is noted as a [`Removal`], unless its cache was deleted.
    async fn remove_paths(
        &self,
        cache: CacheId,
        paths: &[StorePathHash],
        condemned: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<bool>>;

    /// Forgets what is left of a deleted cache besides its paths: its pins and limits, and its keys if `keys`.
    async fn strip_cache(&self, cache: CacheId, keys: bool) -> Result<()>;

    /// Forgets which chunks a deleted cache has seen, some `limit` of them; says how many.
    async fn forget_seen_chunks(&self, cache: CacheId, limit: u32) -> Result<u64>;

    /// A page of removals that the storage has not been told of.
    async fn pending_removals(&self, limit: u32) -> Result<Vec<Removal>>;

    /// Forgets removals that the storage has been told of.
    async fn forget_removals(&self, removals: &[Removal]) -> Result<()>;

    /// A page of uploads.
    async fn scan_uploads(&self, after: Option<(CacheId, String)>, limit: u32) -> Result<Vec<UploadAge>>;

    /// Removes uploads, each unless it was renewed meanwhile.
    async fn remove_uploads(&self, uploads: &[UploadAge]) -> Result<u64>;

    /// A page of documents.
    async fn scan_documents(
        &self,
        after: Option<(CacheId, DocumentKind, String)>,
        limit: u32,
    ) -> Result<Vec<DocumentAge>>;

    /// Removes documents, each unless it was replaced meanwhile.
    async fn remove_documents(&self, documents: &[DocumentAge]) -> Result<u64>;

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

    /// A page of packs.
    async fn scan_packs(&self, after: Option<PackId>, limit: u32) -> Result<Vec<PackUse>>;

    /// A page of packs in the order of their names.
    async fn scan_pack_names(&self, after: Option<PackName>, limit: u32) -> Result<Vec<PackName>>;

    /// The row of a pack of that name, if there is one.
    async fn find_pack(&self, name: PackName) -> Result<Option<PackId>>;

    /// The chunks of a pack, in their order.
    async fn chunks_of_pack(&self, pack: PackId) -> Result<Vec<PackedChunk>>;

    /// Notes that a pack was looked at and stays as it is.
    async fn note_examined(&self, pack: PackId, live_bytes: u64) -> Result<()>;

    /// Puts a pack in the place of others, whose objects are doomed if no chunk is left in them; says how many are.
    async fn rewrite_packs(&self, rewrite: &Rewrite, now: Timestamp) -> Result<u64>;

    /// A page of graves, in the order of their names.
    async fn graves(&self, after: Option<PackName>, limit: u32) -> Result<Vec<Grave>>;

    /// Notes objects that no pack row names; those noted already keep their time.
    async fn note_strays(&self, strays: &[(PackName, u64)], now: Timestamp) -> Result<()>;

    /// Dooms an object that was seen, unless it has a pack row by now; says whether it is doomed.
    async fn doom(&self, name: PackName, now: Timestamp) -> Result<bool>;

    /// Notes that an object was removed.
    async fn note_gone(&self, name: PackName, now: Timestamp) -> Result<()>;

    /// Forgets a grave.
    async fn forget_grave(&self, name: PackName) -> Result<()>;

    /// The NAR of a path in the cache that has this name now. Spares nothing.
    async fn nar_of_path(&self, cache: &str, hash: &StorePathHash) -> Result<Option<NarHash>>;

    /// What a NAR is served as, quarantined or not.
    async fn file_of_nar(&self, nar: &NarHash) -> Result<Option<FileHash>>;

    /// When the document of that kind and name came to the cache that has this name now.
    async fn time_of_document(&self, cache: &str, kind: &str, name: &str) -> Result<Option<Timestamp>>;
}
