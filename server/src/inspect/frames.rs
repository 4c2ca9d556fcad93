//! Reading frames and comparing them with what they should be.

use bytes::Bytes;
use database::{ChunkLocation, PackName};
use protocol::ChunkHash;

use super::{Depth, InspectError, Inspector, off_reactor};
use crate::{fetch::is_damage, pack, store};

/// Neighbours are read together up to this many bytes.
const READ_BYTES: u64 = 512 << 10;

/// A frame and what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its row, if it has one.
    pub(super) chunk: Option<ChunkLocation>,
    /// Whether that row has been marked as damaged.
    pub(super) is_known: bool,
    pub(super) hash: ChunkHash,
    pub(super) offset: u64,
    pub(super) stored_size: u32,
    pub(super) size: u32,
    pub(super) check: u32,
}

impl Piece {
    /// The first byte behind it.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.stored_size))
    }

    /// What is wrong with its bytes, if something is. Takes CPU time.
    fn fault(&self, frame: &[u8], depth: Depth) -> Option<&'static str> {
        if crc32c::crc32c(frame) != self.check {
            return Some("has the wrong checksum");
        }
        if depth < Depth::Hashes {
            return None;
        }
        match store::decompress(frame, self.size) {
            Err(_) => Some("does not decompress"),
            Ok(plain) if ChunkHash::of(&plain) != self.hash => Some("is another chunk"),
            Ok(_) => None,
        }
    }
}

impl Inspector {
    /// Reads pieces of a pack, in the order of their places, and tells what is wrong with which.
    pub(super) async fn faults(
        &self,
        pack: PackName,
        pieces: &[Piece],
    ) -> Result<Vec<(Piece, &'static str)>, InspectError> {
        let mut faults = Vec::new();
        let mut rest = pieces;
        while !rest.is_empty() {
            let (group, after) = rest.split_at(neighbours(rest));
            rest = after;
            match self.read(pack, group).await? {
                Some(bytes) => faults.extend(self.compare(group.to_vec(), bytes).await?),
                // A pack that was cut off may still have the frames before the cut.
                None => {
                    for piece in group {
                        match self.read(pack, std::slice::from_ref(piece)).await? {
                            Some(bytes) => faults.extend(self.compare(vec![*piece], bytes).await?),
                            None => faults.push((*piece, "is cut off")),
                        }
                    }
                }
            }
        }
        Ok(faults)
    }

    /// The bytes of neighbours; `None` if the pack does not have them.
    async fn read(&self, pack: PackName, group: &[Piece]) -> Result<Option<Bytes>, InspectError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(Some(Bytes::new())) };
        self.pace.take(last.end() - first.offset).await;
        match self.storage().read(&pack::key(pack), first.offset..last.end()).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn compare(&self, group: Vec<Piece>, bytes: Bytes) -> Result<Vec<(Piece, &'static str)>, InspectError> {
        let depth = self.depth;
        off_reactor(move || {
            let start = group.first().map_or(0, |piece| piece.offset);
            let fault = |piece: Piece| {
                let from = usize::try_from(piece.offset - start).ok()?;
                let frame = bytes.get(from..from + piece.stored_size as usize)?;
                piece.fault(frame, depth).map(|why| (piece, why))
            };
            group.into_iter().filter_map(fault).collect()
        })
        .await
    }
}

/// How many of the first pieces lie side by side and are read together; at least one.
fn neighbours(pieces: &[Piece]) -> usize {
    let Some(first) = pieces.first() else { return 0 };
    let pairs = pieces.iter().zip(&pieces[1..]);
    let joined = pairs.take_while(|(a, b)| a.end() == b.offset && b.end() - first.offset <= READ_BYTES);
    1 + joined.count()
}
