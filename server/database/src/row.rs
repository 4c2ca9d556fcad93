//! Caches, paths and NARs as the rest of the server sees them.

use formats::{FileHash, KeyName, NarHash, PathInfo, SecretKey, StoreDir};
use protocol::{CacheName, Timestamp};

use crate::ChunkRuns;

/// The priority of a cache that is not given one: just behind cache.nixos.org, which has 40.
pub const DEFAULT_PRIORITY: i32 = 41;

/// The row of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheId(pub i64);

/// The row of a NAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NarId(pub i64);

/// A cache.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Its row.
    pub id: CacheId,
    /// Its name.
    pub name: CacheName,
    /// Whether anybody may pull.
    pub is_public: bool,
    /// The store dir of its paths.
    pub store_dir: StoreDir,
    /// Its priority among substituters.
    pub priority: i32,
    /// Names of keys whose paths clients need not push.
    pub upstream_key_names: Vec<KeyName>,
    /// How long unused paths are kept, in seconds; `None` is as the configuration says, 0 is for ever.
    pub retention: Option<u32>,
    /// The keys that sign its narinfos, newest first; never empty.
    pub keys: Vec<SecretKey>,
}

/// A cache to be made.
#[derive(Debug, Clone)]
pub struct NewCache {
    /// As in [`Cache`].
    pub name: CacheName,
    /// As in [`Cache`].
    pub is_public: bool,
    /// As in [`Cache`].
    pub store_dir: StoreDir,
    /// As in [`Cache`].
    pub priority: i32,
    /// As in [`Cache`].
    pub upstream_key_names: Vec<KeyName>,
    /// As in [`Cache`].
    pub retention: Option<u32>,
    /// Its first key.
    pub key: SecretKey,
    /// When it is made.
    pub now: Timestamp,
}

/// Changes to a cache; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct CacheChange {
    /// As in [`Cache`].
    pub is_public: Option<bool>,
    /// As in [`Cache`].
    pub store_dir: Option<StoreDir>,
    /// As in [`Cache`].
    pub priority: Option<i32>,
    /// As in [`Cache`].
    pub upstream_key_names: Option<Vec<KeyName>>,
    /// As in [`Cache`]; `Some(None)` goes back to the configuration's.
    pub retention: Option<Option<u32>>,
    /// The keys from now on, newest first, in place of those before. Must not be empty.
    pub keys: Option<Vec<SecretKey>>,
}

/// A path of a cache, with where its NAR is served.
#[derive(Debug, Clone)]
pub struct PathRow {
    /// The path.
    pub info: PathInfo,
    /// Keys of the uploaded narinfo that Nix does not define.
    pub extra: Vec<(String, String)>,
    /// SHA-256 of what is served.
    pub file_hash: FileHash,
    /// Its length in bytes.
    pub file_size: u64,
}

/// A NAR, with what it takes to serve it.
#[derive(Debug, Clone)]
pub struct NarFile {
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
    pub manifest: ChunkRuns,
    /// The chunks of its listing.
    pub listing: Option<ChunkRuns>,
}

/// A NAR that came by plain PUT.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The NAR.
    pub nar: NarFile,
    /// SHA-256 of the file as it was put.
    pub file_hash: FileHash,
    /// Its length as it was put, in bytes.
    pub file_size: u64,
}

/// What the index holds altogether.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Caches.
    pub caches: u64,
    /// Paths, over all caches.
    pub paths: u64,
    /// NARs.
    pub nars: u64,
    /// Bytes of all NARs.
    pub nar_bytes: u64,
    /// Undamaged chunks.
    pub chunks: u64,
    /// Bytes of all packs.
    pub stored_bytes: u64,
    /// Quarantined NARs.
    pub quarantined: u64,
}
