//! How a reader takes stored bytes: in memory, or also where they are.

use std::ops::Range;

use bytes::Bytes;
use storage::{FilePart, Key, Storage};

/// Below this length copying costs less than leaving bytes where they are.
const LEAST_LEFT: u64 = 32 << 10;

/// Stored bytes as a reader takes them.
pub trait Taken: From<Bytes> + Send + Unpin + 'static {
    /// Bytes of an object where they are, if the reader takes them so and the storage has them so.
    fn left(storage: &dyn Storage, key: &Key, range: &Range<u64>) -> Option<Self>;

    /// How many they are.
    fn size(&self) -> u64;

    /// Some of them.
    #[must_use]
    fn part(&self, part: Range<u64>) -> Self;
}

/// Takes them in memory.
impl Taken for Bytes {
    fn left(_: &dyn Storage, _: &Key, _: &Range<u64>) -> Option<Self> {
        None
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn part(&self, part: Range<u64>) -> Self {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        self.slice(at(part.start)..at(part.end))
    }
}

/// Stored bytes of which some stay in their files, for the system to send.
#[derive(Debug, Clone)]
pub enum Piece {
    /// In memory.
    InMemory(Bytes),
    /// In a file.
    InFile(FilePart),
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self::InMemory(bytes)
    }
}

impl Taken for Piece {
    fn left(storage: &dyn Storage, key: &Key, range: &Range<u64>) -> Option<Self> {
        if range.end - range.start < LEAST_LEFT {
            return None;
        }
        storage.in_file(key, range).map(Self::InFile)
    }

    fn size(&self) -> u64 {
        match self {
            Self::InMemory(bytes) => bytes.size(),
            Self::InFile(part) => part.len(),
        }
    }

    fn part(&self, part: Range<u64>) -> Self {
        match self {
            Self::InMemory(bytes) => Self::InMemory(bytes.part(part)),
            Self::InFile(whole) => Self::InFile(whole.slice(part)),
        }
    }
}
