//! Paths, and what is kept beside them: uploads and documents.

use async_trait::async_trait;
use formats::{FileHash, NarHash, StorePath, StorePathHash};
use protocol::{CacheName, Timestamp};

use crate::{CacheId, ChunkRuns, DocumentKind, NarId, Result};

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

/// Which paths go, and with them what nobody has any more beside them.
#[async_trait]
pub trait PathCollection {
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

    /// The NAR of a path in the cache that has this name now. Spares nothing.
    async fn nar_of_path(&self, cache: &str, hash: &StorePathHash) -> Result<Option<NarHash>>;

    /// What a NAR is served as, quarantined or not.
    async fn file_of_nar(&self, nar: &NarHash) -> Result<Option<FileHash>>;

    /// When the document of that kind and name came to the cache that has this name now.
    async fn time_of_document(&self, cache: &str, kind: &str, name: &str) -> Result<Option<Timestamp>>;
}
