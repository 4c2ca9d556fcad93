//! The manifest: the chunks of a NAR, in order.

use crate::{ChunkHash, read_varint, write_varint};

/// The version that [`Manifest::encode`] writes.
const VERSION: u8 = 1;

/// One chunk of a NAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Its name.
    pub hash: ChunkHash,
    /// Its length in the NAR, in bytes.
    pub size: u32,
}

/// The chunks whose bytes, one after the other, are a NAR.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest(pub Vec<ManifestEntry>);

/// Bytes that are no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Written by a later version.
    #[error("manifest version {0} is not known here")]
    Version(u8),
    /// Cut off, or with more than it says.
    #[error("the manifest is cut off or has extra bytes")]
    Length,
}

impl Manifest {
    /// The size of the NAR.
    #[must_use]
    pub fn nar_size(&self) -> u64 {
        self.0.iter().map(|e| u64::from(e.size)).sum()
    }

    /// The version byte, the number of chunks, then for each chunk its digest and its size; numbers as varints.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(10 + 36 * self.0.len());
        out.push(VERSION);
        write_varint(&mut out, self.0.len() as u64);
        for entry in &self.0 {
            out.extend_from_slice(entry.hash.as_bytes());
            write_varint(&mut out, u64::from(entry.size));
        }
        out
    }

    /// Reads what [`Manifest::encode`] wrote.
    ///
    /// # Errors
    /// On another version, or bytes that are too few or too many. Nothing is allocated beyond what the input can hold.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let (&version, mut input) = bytes.split_first().ok_or(ManifestError::Length)?;
        if version != VERSION {
            return Err(ManifestError::Version(version));
        }
        let count = read_varint(&mut input).ok_or(ManifestError::Length)?;
        let mut entries = Vec::with_capacity(input.len() / 33);
        for _ in 0..count {
            let (digest, rest) = input.split_first_chunk::<32>().ok_or(ManifestError::Length)?;
            input = rest;
            let size = read_varint(&mut input).and_then(|n| u32::try_from(n).ok()).ok_or(ManifestError::Length)?;
            entries.push(ManifestEntry { hash: ChunkHash(*digest), size });
        }
        if input.is_empty() { Ok(Self(entries)) } else { Err(ManifestError::Length) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_manifest_comes_back(entries: Vec<([u8; 32], u32)>) {
            let manifest = Manifest(entries.into_iter().map(|(h, size)| ManifestEntry { hash: ChunkHash(h), size }).collect());
            prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
        }

        #[test]
        fn any_bytes_are_refused_or_canonical(bytes: Vec<u8>) {
            if let Ok(manifest) = Manifest::decode(&bytes) {
                prop_assert_eq!(manifest.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_lying_count_allocates_nothing() {
        let mut bytes = vec![VERSION];
        write_varint(&mut bytes, u64::MAX);
        assert_eq!(Manifest::decode(&bytes), Err(ManifestError::Length));
        assert_eq!(Manifest::decode(&[9]), Err(ManifestError::Version(9)));
    }
}
