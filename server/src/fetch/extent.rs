//! Extents: runs of adjacent frames in one pack, read together.

use std::ops::Range;

use bytes::Bytes;
use database::{ChunkLocation, PackName};

use storage::EXTENT_BYTES;

use crate::store::FrameError;

/// Frames that lie side by side in one pack.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    /// The pack.
    pub pack: PackName,
    /// The frames; never empty.
    pub chunks: &'a [ChunkLocation],
}

impl<'a> Extent<'a> {
    /// The extent of chunks that are known to be neighbours.
    pub(crate) fn of(chunks: &'a [ChunkLocation]) -> Self {
        Self { pack: chunks.first().map_or(PackName([0; 16]), |c| c.pack), chunks }
    }

    /// Where the frames are in the pack, in bytes.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        let start = self.chunks.first().map_or(0, |c| c.offset);
        start..self.chunks.last().map_or(start, |c| c.offset + u64::from(c.stored_size))
    }

    /// Takes the bytes of the extent apart.
    pub fn split(self, bytes: &Bytes) -> impl Iterator<Item = (ChunkLocation, Bytes)> + use<'a> {
        let bytes = bytes.clone();
        let start = self.range().start;
        self.chunks.iter().map(move |chunk| {
            let from = usize::try_from(chunk.offset - start).unwrap_or(usize::MAX);
            (*chunk, bytes.slice(from..from + chunk.stored_size as usize))
        })
    }

    /// The same, and checks each frame against its checksum.
    pub fn frames(self, bytes: &Bytes) -> impl Iterator<Item = (ChunkLocation, Result<Bytes, FrameError>)> + use<'a> {
        self.split(bytes).map(|(chunk, frame)| {
            let whole = is_whole(&chunk, &frame);
            (chunk, if whole { Ok(frame) } else { Err(FrameError::Checksum) })
        })
    }
}

/// Whether these are the bytes that were stored.
pub(super) fn is_whole(chunk: &ChunkLocation, frame: &[u8]) -> bool {
    frame.len() == chunk.stored_size as usize && crc32c::crc32c(frame) == chunk.check
}

/// Joins neighbours: as few reads as the limit on one that is held in memory allows.
pub fn extents(chunks: &[ChunkLocation]) -> impl Iterator<Item = Extent<'_>> {
    extents_of(chunks, EXTENT_BYTES)
}

/// Joins neighbours into extents of at most so many bytes, or of one frame.
pub(super) fn extents_of(chunks: &[ChunkLocation], limit: u64) -> impl Iterator<Item = Extent<'_>> {
    let mut rest = chunks;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut end = first.offset + u64::from(first.stored_size);
        let mut length = 1;
        for next in &rest[1..] {
            let total = end + u64::from(next.stored_size) - first.offset;
            if next.pack != first.pack || next.offset != end || total > limit {
                break;
            }
            end += u64::from(next.stored_size);
            length += 1;
        }
        let (chunks, after) = rest.split_at(length);
        rest = after;
        Some(Extent { pack: first.pack, chunks })
    })
}

#[cfg(test)]
mod tests {
    use database::ChunkId;

    use super::*;

    fn chunk(pack: u8, offset: u64, stored_size: u32) -> ChunkLocation {
        ChunkLocation { id: ChunkId(1), pack: PackName([pack; 16]), offset, stored_size, size: 1, check: 0 }
    }

    #[test]
    fn neighbours_are_read_together() {
        let limit = u32::try_from(EXTENT_BYTES).unwrap();
        let chunks = [
            chunk(1, 8, 10),
            chunk(1, 18, 5),
            chunk(1, 24, 1),
            chunk(2, 25, 9),
            chunk(2, 34, limit),
            chunk(2, 34 + EXTENT_BYTES, 1),
        ];
        let ranges: Vec<_> = extents(&chunks).map(|e| (e.pack.0[0], e.range(), e.chunks.len())).collect();
        let long = 34..34 + EXTENT_BYTES;
        let last = long.end..long.end + 1;
        assert_eq!(ranges, [(1, 8..23, 2), (1, 24..25, 1), (2, 25..34, 1), (2, long, 1), (2, last, 1)]);
        assert_eq!(extents(&[]).count(), 0);
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let bytes = Bytes::from_static(b"0123456789");
        let mut chunks = [chunk(1, 100, 4), chunk(1, 104, 6)];
        chunks[0].check = crc32c::crc32c(b"0123");
        chunks[1].check = crc32c::crc32c(b"456788");
        let frames: Vec<_> = Extent::of(&chunks).frames(&bytes).map(|(_, frame)| frame).collect();
        assert_eq!(frames, [Ok(Bytes::from_static(b"0123")), Err(FrameError::Checksum)]);
    }
}
