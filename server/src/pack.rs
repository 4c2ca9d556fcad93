//! Packs: immutable objects that hold many frames and describe themselves.
//!
//! ```text
//! "FLYPACK1"                      8 bytes
//! frame, frame, …                 each a chunk as one zstd frame; no gaps
//! trailer                         one zstd frame of records: kind (1 byte), length (varint), payload
//! footer                          trailer's offset (u64), length (u32), BLAKE3 (32 bytes), "FLYPACK1"
//! ```
//!
//! Numbers are little-endian. The trailer names every frame of the pack in order, and carries the NARs, paths and documents that were
//! committed with it, so that the index can be made anew from the packs alone. A reader skips records of a kind that it does not
//! know, and bytes behind the fields that it knows: both may be added later without a new version.

mod record;
mod stamp;

use bytes::Bytes;
use database::{CacheId, NewChunk, PackName};
use storage::Key;

pub use record::{
    CacheRecord, CacheState, DamageRecord, DocumentAbout, DocumentRecord, KeptOutRecord, KeyRecord, NarRecord,
    PathRecord, PinRecord, PromotionRecord, Record, Removal, Revocation,
};
pub use stamp::{Stamp, Stamps};

/// The first and the last bytes of a pack.
pub const MAGIC: &[u8; 8] = b"FLYPACK1";
/// The length of the footer, in bytes.
pub const FOOTER_BYTES: usize = 8 + 4 + 32 + 8;
/// The most that a trailer may decompress to: some millions of chunks.
const MAX_TRAILER_BYTES: usize = 256 << 20;

/// Why bytes are no pack.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Too short, or without the magic.
    #[error("this is no pack, or it was cut off")]
    NotAPack,
    /// The trailer does not have the checksum that the footer gives.
    #[error("the trailer of the pack is damaged")]
    Checksum,
    /// The trailer cannot be read, though its checksum is right.
    #[error("the trailer of the pack is malformed: {0}")]
    Malformed(&'static str),
}

/// The object that a pack is stored under.
///
/// # Panics
/// Never: hex digits make a valid key.
#[must_use]
pub fn key(name: PackName) -> Key {
    let hex = name.to_string();
    format!("packs/{}/{hex}", &hex[..2]).parse().expect("a prefix and hex digits make a key")
}

/// The object that a pack without frames is stored under: nothing in the index refers to it, so it is kept apart.
///
/// # Panics
/// Never: hex digits make a valid key.
#[must_use]
pub fn records_key(name: PackName) -> Key {
    let hex = name.to_string();
    format!("records/{}/{hex}", &hex[..2]).parse().expect("a prefix and hex digits make a key")
}

/// A whole pack without frames, which says `records`, true since `at`.
#[must_use]
pub fn of_records(at: Stamp, records: impl IntoIterator<Item = Record>) -> Bytes {
    let (trailer, _) = Layout::new().trailer(at, records);
    [&MAGIC[..], &trailer].concat().into()
}

/// The name of the pack that is stored under `key`, if it is one.
#[must_use]
pub fn name(key: &Key) -> Option<PackName> {
    let text = key.to_string();
    let hex = text.strip_prefix("packs/").or_else(|| text.strip_prefix("records/"))?.split_once('/')?.1;
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?;
    bytes.try_into().ok().map(PackName)
}

/// What follows the frames of a pack whose frames end at `offset`.
#[must_use]
pub fn trailer(offset: u64, records: &[Record]) -> Bytes {
    let mut plain = Vec::new();
    for record in records {
        record.encode(&mut plain);
    }
    let mut out = zstd::bulk::compress(&plain, 3).unwrap_or_default();
    let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
    let checksum = blake3::hash(&out);
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(checksum.as_bytes());
    out.extend_from_slice(MAGIC);
    out.into()
}

/// Where the trailer of a pack is: what its footer, the last [`FOOTER_BYTES`] bytes, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Where the trailer begins, in bytes.
    pub offset: u64,
    /// Its length, in bytes.
    pub length: u32,
    checksum: [u8; 32],
}

impl Footer {
    /// Reads a footer.
    ///
    /// # Errors
    /// If these are not the last bytes of a pack.
    pub fn decode(bytes: &[u8]) -> Result<Self, PackError> {
        let bytes: &[u8; FOOTER_BYTES] = bytes.try_into().map_err(|_| PackError::NotAPack)?;
        let (offset, rest) = bytes.split_first_chunk::<8>().ok_or(PackError::NotAPack)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(PackError::NotAPack)?;
        let (checksum, magic) = rest.split_first_chunk::<32>().ok_or(PackError::NotAPack)?;
        if magic != MAGIC {
            return Err(PackError::NotAPack);
        }
        Ok(Self { offset: u64::from_le_bytes(*offset), length: u32::from_le_bytes(*length), checksum: *checksum })
    }

    /// Reads the records of the trailer, whose bytes these are, and gives each frame its place.
    ///
    /// # Errors
    /// If the bytes are damaged, or do not describe a pack whose frames end where the trailer begins.
    pub fn records(&self, trailer: &[u8]) -> Result<Vec<Record>, PackError> {
        Ok(self.decode_records(trailer)?.0)
    }

    /// As [`Footer::records`]; `None` if there are records of kinds that are not known here, so that nobody who writes the records
    /// into another pack loses them.
    ///
    /// # Errors
    /// As [`Footer::records`].
    pub fn known_records(&self, trailer: &[u8]) -> Result<Option<Vec<Record>>, PackError> {
        let (records, unknown) = self.decode_records(trailer)?;
        Ok((unknown == 0).then_some(records))
    }

    /// The records, and how many more there are of kinds that are not known here.
    fn decode_records(&self, trailer: &[u8]) -> Result<(Vec<Record>, usize), PackError> {
        if blake3::hash(trailer) != blake3::Hash::from_bytes(self.checksum) {
            return Err(PackError::Checksum);
        }
        let plain = zstd::bulk::decompress(trailer, MAX_TRAILER_BYTES).map_err(|_| PackError::Malformed("zstd"))?;
        let mut input = &plain[..];
        let mut records = Vec::new();
        let mut unknown = 0;
        let mut offset = MAGIC.len() as u64;
        while !input.is_empty() {
            match Record::decode(&mut input, &mut offset)? {
                Some(record) => records.push(record),
                None => unknown += 1,
            }
        }
        if offset == self.offset {
            Ok((records, unknown))
        } else {
            Err(PackError::Malformed("frames do not fill the pack"))
        }
    }
}

/// Gathers the places of a pack's frames as they are appended.
#[derive(Debug)]
pub struct Layout {
    /// Where the next frame goes, in bytes.
    pub offset: u64,
    /// The frames so far.
    pub chunks: Vec<NewChunk>,
}

impl Layout {
    /// The layout of a pack that has its magic and no frame yet.
    #[must_use]
    pub fn new() -> Self {
        Self { offset: MAGIC.len() as u64, chunks: Vec::new() }
    }

    /// Gives the next frame its place; `cache` is the one that it was pushed to.
    pub fn append(&mut self, hash: protocol::ChunkHash, size: u32, frame: &[u8], cache: Option<CacheId>) {
        let stored_size = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let check = crc32c::crc32c(frame);
        self.chunks.push(NewChunk { hash, offset: self.offset, stored_size, size, check, cache });
        self.offset += u64::from(stored_size);
    }

    /// The trailer of the pack, with `records`, true since `at`, behind those of its frames; and the length of the whole pack.
    #[must_use]
    pub fn trailer(&self, at: Stamp, records: impl IntoIterator<Item = Record>) -> (Bytes, u64) {
        let chunks = self.chunks.iter().copied().map(Record::Chunk);
        let all: Vec<Record> = chunks.chain([Record::Stamp(at)]).chain(records).collect();
        let trailer = trailer(self.offset, &all);
        let size = self.offset + trailer.len() as u64;
        (trailer, size)
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use protocol::ChunkHash;

    use super::*;

    #[test]
    fn a_pack_describes_itself() {
        let mut layout = Layout::new();
        let mut pack = MAGIC.to_vec();
        for frame in [&b"first"[..], b"second frame"] {
            layout.append(ChunkHash::of(frame), 100, frame, None);
            pack.extend_from_slice(frame);
        }
        let (trailer, size) = layout.trailer(Stamp(7), []);
        pack.extend_from_slice(&trailer);
        assert_eq!(pack.len() as u64, size);

        let footer = Footer::decode(&pack[pack.len() - FOOTER_BYTES..]).unwrap();
        let start = usize::try_from(footer.offset).unwrap();
        let records = footer.records(&pack[start..start + footer.length as usize]).unwrap();
        let chunks: Vec<_> =
            records.iter().filter_map(|r| if let Record::Chunk(c) = r { Some(*c) } else { None }).collect();
        assert_eq!(chunks, layout.chunks);
        assert_eq!(records.last(), Some(&Record::Stamp(Stamp(7))));

        for at in start..pack.len() - FOOTER_BYTES {
            let mut damaged = pack[start..start + footer.length as usize].to_vec();
            damaged[at - start] ^= 1;
            assert!(matches!(footer.records(&damaged), Err(PackError::Checksum)));
        }
        assert!(Footer::decode(&pack[pack.len() - FOOTER_BYTES - 1..pack.len() - 1]).is_err());
    }

    #[test]
    fn names_and_keys_go_both_ways() {
        let pack = PackName([0xab; 16]);
        assert_eq!(key(pack).to_string(), format!("packs/ab/{pack}"));
        assert_eq!(name(&key(pack)), Some(pack));
        assert_eq!(name(&records_key(pack)), Some(pack));
        assert_eq!(name(&"packs/ab/xyz".parse().unwrap()), None);
    }
}
