//! The index: plain rows, the traits that a database implements, and the suite that every implementation must pass.
//!
//! The index says what is stored where, and which paths a cache shows. It never sees a byte of a NAR. Every method is one
//! transaction: it happens wholly or not at all, and no connection is held between two calls.

mod audit;
mod cache_limits;
mod chunk;
mod collection;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod copying;
mod document;
mod error;
mod inspection;
mod leases;
mod pins;
mod promotion;
mod promotion_records;
mod promotion_rules;
mod rebuild;
mod revision;
mod row;
mod runs;
mod tokens;

use async_trait::async_trait;
use formats::{FileHash, NarHash, Signature, StorePathHash};
use protocol::{CacheName, ChunkHash, Timestamp};

pub use audit::{Act, ActFilter, ActMark, ActRow, Audit, NewAct, Outcome};
pub use cache_limits::{CacheLimits, Limits};
pub use chunk::{ChunkId, ChunkLocation, NewChunk, NewPack, PackId, PackName};
pub use collection::{
    ChunkCollection, CollectedCache, DocumentAge, Grave, MovedRun, NarChunks, PackCollection, PackUse, PackedChunk,
    PathAge, PathCollection, PathReferences, PathWeight, Removal, Rewrite, UploadAge, Watermark,
};
pub use commit::{ChunkPointer, Commit, CommitError, NewDocument, NewNar, NewPath, NewUpload, PathOutcome};
pub use copying::Copying;
pub use document::{Document, DocumentKind};
pub use error::{Error, Result};
pub use inspection::{
    Census, ChunkRow, ChunkSize, Inspection, NarRow, PackRow, PathLinks, PathSize, ScrubProgress, Traffic,
};
pub use leases::{ChoreRun, Lease, Leases};
pub use pins::{NewPin, Pin, Pins};
pub use promotion::{
    Claim, ClaimId, Member, Moved, NewClaim, NewRevision, Promotions, RevisionId, TagId, TagRow, Verdict, Verified,
    View,
};
pub use promotion_records::{
    AttestedFact, ClaimFact, ObservedFact, PromotionFact, PromotionRecords, ReceiptFact, ResolvedFact, RevisionFact,
    TagFact, Unrecorded, UnrecordedKind, VerdictFact,
};
pub use promotion_rules::PromotionRules;
pub use rebuild::{Gone, Rebuilding};
pub use revision::{Revision, Revisions};
pub use row::{Cache, CacheChange, CacheId, DEFAULT_PRIORITY, NarFile, NarId, NewCache, PathRow, Totals, Upload};
pub use runs::{ChunkRuns, RunsError};
pub use tokens::{NewToken, Standing, TokenFilter, TokenMark, TokenRef, TokenRow, Tokens};

/// Everything that the server asks of its index.
pub trait Database:
    Caches
    + Chunks
    + Paths
    + Documents
    + Leases
    + Inspection
    + PathCollection
    + ChunkCollection
    + PackCollection
    + Pins
    + Limits
    + Revisions
    + Tokens
    + Audit
    + Rebuilding
    + Promotions
    + Copying
    + PromotionRecords
    + PromotionRules
    + std::fmt::Debug
    + Send
    + Sync
{
}

impl<T> Database for T where
    T: Caches
        + Chunks
        + Paths
        + Documents
        + Leases
        + Inspection
        + PathCollection
        + ChunkCollection
        + PackCollection
        + Pins
        + Limits
        + Revisions
        + Tokens
        + Audit
        + Rebuilding
        + Promotions
        + Copying
        + PromotionRecords
        + PromotionRules
        + std::fmt::Debug
        + Send
        + Sync
{
}

/// Caches and their keys.
#[async_trait]
pub trait Caches {
    /// Makes a cache; `None` if there is one of that name.
    async fn create_cache(&self, cache: &NewCache) -> Result<Option<Cache>>;

    /// The cache of that name, with its keys.
    async fn find_cache(&self, name: &CacheName) -> Result<Option<Cache>>;

    /// Every cache, by name.
    async fn list_caches(&self) -> Result<Vec<Cache>>;

    /// Changes what `change` names and nothing else; the cache as it is then, or `None` if there is none.
    async fn change_cache(&self, name: &CacheName, change: &CacheChange) -> Result<Option<Cache>>;

    /// Hides a cache for ever and frees its name; `false` if there is none. Its paths go with it.
    async fn delete_cache(&self, name: &CacheName, now: Timestamp) -> Result<bool>;

    /// Answers if the database does.
    async fn ping(&self) -> Result<()>;
}

/// Chunks, packs, and the one way in which anything becomes visible.
#[async_trait]
pub trait Chunks {
    /// For each name, the chunk that is stored under it and not damaged. At most a few thousand names a call.
    async fn find_chunks(&self, hashes: &[ChunkHash]) -> Result<Vec<Option<ChunkLocation>>>;

    /// As [`Chunks::find_chunks`], but only chunks that at least one of these caches has seen: pushed to it, or part of a NAR
    /// that was committed under a path of it. Who may read none of them must not learn that the chunk exists.
    async fn find_visible_chunks(&self, caches: &[CacheId], hashes: &[ChunkHash])
    -> Result<Vec<Option<ChunkLocation>>>;

    /// Where the chunks of a manifest are, in its order. Fails with [`Error::Inconsistent`] if one has no row.
    async fn locate_chunks(&self, runs: &ChunkRuns) -> Result<Vec<ChunkLocation>>;

    /// Takes chunks whose stored bytes are damaged out of deduplication, so that they are stored anew when they come again.
    async fn mark_damaged(&self, chunks: &[ChunkId], now: Timestamp) -> Result<()>;

    /// Makes packs, NARs, paths and documents visible in one transaction. The packs must be durable already.
    async fn commit(&self, commit: &Commit) -> std::result::Result<Vec<PathOutcome>, CommitError>;
}

/// Store paths and their NARs, as a cache shows them. A quarantined NAR is as absent as one that never came.
#[async_trait]
pub trait Paths {
    /// The path with that hash part. One look-up.
    async fn find_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Option<PathRow>>;

    /// Those of `hashes` that the cache does not show, in their order. At most some 10,000 a call.
    async fn missing_paths(&self, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<StorePathHash>>;

    /// The NAR of a path.
    async fn find_nar_by_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Option<NarFile>>;

    /// The NAR that is served under a file hash, if a path of this cache has it.
    async fn find_nar_by_file_hash(&self, cache: CacheId, hash: &FileHash) -> Result<Option<NarFile>>;

    /// The NAR with that hash, in whatever cache.
    async fn find_nar(&self, hash: &NarHash) -> Result<Option<NarFile>>;

    /// Adds signatures to a path; `false` if the cache does not show it. Those that are there already change nothing.
    async fn add_signatures(&self, cache: CacheId, hash: &StorePathHash, signatures: &[Signature]) -> Result<bool>;

    /// Hides every path of a NAR whose stored bytes are damaged, until it is pushed again.
    async fn quarantine_nar(&self, nar: NarId, now: Timestamp) -> Result<()>;

    /// Notes that paths were used.
    async fn touch_paths(&self, paths: &[(CacheId, StorePathHash)], now: Timestamp) -> Result<()>;

    /// The NAR that came by plain PUT under this file name (`<nix32>.nar.xz`, …).
    async fn find_upload(&self, cache: CacheId, file_name: &str) -> Result<Option<Upload>>;

    /// What the index holds altogether.
    async fn totals(&self) -> Result<Totals>;
}

/// Small files kept and served beside the paths: logs, realisations, debuginfo.
#[async_trait]
pub trait Documents {
    /// The document of that kind and name.
    async fn find_document(&self, cache: CacheId, kind: DocumentKind, name: &str) -> Result<Option<Document>>;
}
