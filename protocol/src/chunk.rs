//! Chunks: their names and their sizes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The BLAKE3 digest of a chunk's bytes, uncompressed: the chunk's name everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkHash(pub [u8; 32]);

impl ChunkHash {
    /// The name of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkHash({self})")
    }
}

impl FromStr for ChunkHash {
    type Err = blake3::HexError;

    fn from_str(hex: &str) -> Result<Self, Self::Err> {
        Ok(Self(*blake3::Hash::from_hex(hex)?.as_bytes()))
    }
}

/// How large chunks are; the same numbers always cut the same NAR at the same places.
///
/// The names are those of Attic's `chunking` table. All sizes are in bytes of the NAR, uncompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkSizes {
    nar_size_threshold: u32,
    min_size: u32,
    avg_size: u32,
    max_size: u32,
}

/// Chunk sizes that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkSizesError {
    /// The sizes do not ascend.
    #[error("chunk sizes must ascend: min-size {min} <= avg-size {avg} <= max-size {max}")]
    Order {
        /// As given.
        min: u32,
        /// As given.
        avg: u32,
        /// As given.
        max: u32,
    },
    /// A size outside what the cutter can do.
    #[error("{key} is {value}, it must be even and between {least} and {most}")]
    Range {
        /// Which of the keys.
        key: &'static str,
        /// As given.
        value: u32,
        /// The least value allowed.
        least: u32,
        /// The greatest value allowed.
        most: u32,
    },
}

impl ChunkSizes {
    /// Checks the sizes: even, ascending, and within 64 B – 1 MiB, 256 B – 4 MiB and 1 KiB – 16 MiB.
    ///
    /// # Errors
    /// Says which size is wrong, and what it could be.
    pub fn new(nar_size_threshold: u32, min_size: u32, avg_size: u32, max_size: u32) -> Result<Self, ChunkSizesError> {
        let bounds = [
            ("min-size", min_size, 64, 1 << 20),
            ("avg-size", avg_size, 256, 1 << 22),
            ("max-size", max_size, 1024, 1 << 24),
        ];
        for (key, value, least, most) in bounds {
            if value < least || value > most || value % 2 == 1 {
                return Err(ChunkSizesError::Range { key, value, least, most });
            }
        }
        if min_size > avg_size || avg_size > max_size {
            return Err(ChunkSizesError::Order { min: min_size, avg: avg_size, max: max_size });
        }
        let most = max_size;
        if nar_size_threshold > most {
            return Err(ChunkSizesError::Range {
                key: "nar-size-threshold",
                value: nar_size_threshold,
                least: 0,
                most,
            });
        }
        Ok(Self { nar_size_threshold, min_size, avg_size, max_size })
    }

    /// NARs smaller than this are one chunk.
    #[must_use]
    pub const fn nar_size_threshold(&self) -> usize {
        self.nar_size_threshold as usize
    }

    /// Files of at least this size are cut out at their borders; smaller neighbours are gathered up to about this size.
    #[must_use]
    pub const fn min_size(&self) -> usize {
        self.min_size as usize
    }

    /// The average size of chunks inside a large file.
    #[must_use]
    pub const fn avg_size(&self) -> usize {
        self.avg_size as usize
    }

    /// No chunk is larger.
    #[must_use]
    pub const fn max_size(&self) -> usize {
        self.max_size as usize
    }
}

impl Default for ChunkSizes {
    /// The sizes chosen from the table in docs/performance.md.
    fn default() -> Self {
        Self { nar_size_threshold: 64 << 10, min_size: 16 << 10, avg_size: 1 << 20, max_size: 4 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hex() {
        let hash = ChunkHash::of(b"abc");
        assert_eq!(hash.to_string(), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(hash.to_string().parse::<ChunkHash>().unwrap(), hash);
        assert!("6437".parse::<ChunkHash>().is_err());
    }

    #[test]
    fn sizes_are_checked() {
        assert!(ChunkSizes::new(65536, 16384, 65536, 262_144).is_ok());
        assert!(ChunkSizes::new(0, 16384, 8192, 262_144).is_err());
        assert!(ChunkSizes::new(0, 16385, 65536, 262_144).is_err());
        assert!(ChunkSizes::new(u32::MAX, 16384, 65536, 262_144).is_err());
        let d = ChunkSizes::default();
        assert!(ChunkSizes::new(d.nar_size_threshold, d.min_size, d.avg_size, d.max_size).is_ok());
    }
}
