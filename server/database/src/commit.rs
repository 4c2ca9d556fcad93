//! The commit: everything that becomes visible at once.

use formats::{FileHash, NarHash, PathInfo};
use protocol::{ChunkHash, Timestamp};

use crate::{CacheId, ChunkId, DocumentKind, Error, NewPack};

/// A chunk of a manifest: known by its row, or by name if it is new in this very commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkPointer {
    /// A chunk that has a row.
    Known(ChunkId),
    /// A chunk of one of the commit's packs.
    New(ChunkHash),
}

/// What one transaction makes visible, in this order: packs with their chunks, NARs, uploads, paths, documents.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Packs that are durable. A chunk that has an undamaged row already keeps that row.
    pub packs: Vec<NewPack>,
    /// NARs; one that is known already and not quarantined stays as it is.
    pub nars: Vec<NewNar>,
    /// Names under which NARs came by plain PUT.
    pub uploads: Vec<NewUpload>,
    /// Paths; each outcome is told.
    pub paths: Vec<NewPath>,
    /// Documents; one of the same cache, kind and name is replaced.
    pub documents: Vec<NewDocument>,
}

/// A NAR to be made known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNar {
    /// SHA-256 of the NAR.
    pub nar_hash: NarHash,
    /// Its size in bytes.
    pub nar_size: u64,
    /// SHA-256 of its frames, one after the other: what is served.
    pub file_hash: FileHash,
    /// Their total length in bytes.
    pub file_size: u64,
    /// Its chunks, in order.
    pub manifest: Vec<ChunkPointer>,
    /// The chunks of its `.ls` listing, if it can have one.
    pub listing: Option<Vec<ChunkPointer>>,
    /// When it came.
    pub now: Timestamp,
}

/// A NAR that came by plain PUT, before its narinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// The cache it was put into.
    pub cache: CacheId,
    /// The last segment of its URL: `<nix32>.nar.xz`, ….
    pub file_name: String,
    /// The NAR in it.
    pub nar_hash: NarHash,
    /// SHA-256 of the file as it was put.
    pub file_hash: FileHash,
    /// Its length as it was put, in bytes.
    pub file_size: u64,
    /// When it came.
    pub now: Timestamp,
}

/// A path to be shown in a cache.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPath {
    /// The cache.
    pub cache: CacheId,
    /// The path; its NAR must be known by then, with this very hash and size.
    pub info: PathInfo,
    /// Keys of the uploaded narinfo that Nix does not define, kept as they came.
    pub extra: Vec<(String, String)>,
    /// The subject of the token that pushed it.
    pub pushed_by: Option<String>,
    /// When it came.
    pub now: Timestamp,
}

/// A document to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDocument {
    /// The cache.
    pub cache: CacheId,
    /// Its kind.
    pub kind: DocumentKind,
    /// Its name within the kind.
    pub name: String,
    /// The chunks of its bytes.
    pub manifest: Vec<ChunkPointer>,
    /// Its length in bytes.
    pub size: u64,
    /// When it came.
    pub now: Timestamp,
}

/// What became of one path of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathOutcome {
    /// It is new in the cache (or was quarantined, and is healed).
    Created,
    /// It was there with the same NAR; signatures and references were united.
    Merged,
    /// It is there with another NAR, and stays as it is.
    KeptOther,
}

/// Why a commit changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A chunk of a manifest has no row, or is damaged by now: it vanished between look-up and commit.
    #[error("a chunk that was there is gone")]
    ChunkGone,
    /// A chunk was stored by another replica at the same time, as other bytes: the file hash would be wrong.
    #[error("another upload stored the same chunk at the same time")]
    ChunkRaced,
    /// A path or an upload names a NAR that is not known, is quarantined, or has another size.
    #[error("the NAR of a path is not there")]
    NarGone,
    /// The cache was deleted: what would be acknowledged could not be seen.
    #[error("the cache is not there")]
    CacheGone,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] Error),
}
