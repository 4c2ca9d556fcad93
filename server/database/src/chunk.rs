//! Chunks and the packs that hold them.

use std::fmt;

use data_encoding::HEXLOWER;
use protocol::ChunkHash;

use crate::CacheId;

/// The row of a chunk. Ids ascend in the order of commits, so the new chunks of one NAR are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(pub i64);

/// The row of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(pub i64);

/// The name of a pack: 16 random bytes, written in hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackName(pub [u8; 16]);

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackName({self})")
    }
}

/// Where a chunk is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLocation {
    /// The chunk's row.
    pub id: ChunkId,
    /// The pack that holds its frame.
    pub pack: PackName,
    /// Where the frame begins in the pack, in bytes.
    pub offset: u64,
    /// The length of the frame, in bytes.
    pub stored_size: u32,
    /// The length of the chunk, uncompressed, in bytes.
    pub size: u32,
    /// CRC-32C of the frame, by which damage is seen before it is sent.
    pub check: u32,
}

/// A chunk to be made known, in a pack that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewChunk {
    /// Its name.
    pub hash: ChunkHash,
    /// As in [`ChunkLocation`].
    pub offset: u64,
    /// As in [`ChunkLocation`].
    pub stored_size: u32,
    /// As in [`ChunkLocation`].
    pub size: u32,
    /// As in [`ChunkLocation`].
    pub check: u32,
    /// The cache that it was pushed to, whose readers may know of it from then on; passed over if that cache is gone.
    pub cache: Option<CacheId>,
}

/// A pack to be made known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPack {
    /// Its name.
    pub name: PackName,
    /// The length of the object, in bytes.
    pub size: u64,
    /// The chunks in it, in their order.
    pub chunks: Vec<NewChunk>,
}
