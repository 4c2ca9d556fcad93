//! Packs, and the objects that no row names.

use async_trait::async_trait;
use protocol::{ChunkHash, Timestamp};

use crate::{ChunkId, PackId, PackName, Result};

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

/// How packs of which little is in use make room.
#[async_trait]
pub trait PackCollection {
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
}
