//! The hash of what will be served.

use formats::FileHash;
use sha2::{Digest, Sha256};

/// Gathers the SHA-256 and length of a NAR's frames, in order, as they are stored.
#[derive(Debug, Clone, Default)]
pub struct FileDigest {
    hasher: Sha256,
    size: u64,
    checks: Vec<u32>,
    gap: bool,
}

/// What a NAR is served as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The SHA-256 of all frames.
    pub hash: FileHash,
    /// Their total length in bytes.
    pub size: u64,
    /// CRC-32C of each.
    pub checks: Vec<u32>,
}

impl FileDigest {
    /// Takes the next frame.
    pub fn feed(&mut self, frame: &[u8]) {
        if !self.gap {
            self.hasher.update(frame);
            self.checks.push(crc32c::crc32c(frame));
        }
        self.size += frame.len() as u64;
    }

    /// Takes the next frame, or notes that it is not at hand: the hash has to be taken from the stored bytes then, later.
    pub fn feed_or_skip(&mut self, frame: Option<&bytes::Bytes>) {
        match frame {
            Some(frame) => self.feed(frame),
            None => self.gap = true,
        }
    }

    /// Whether no frame was skipped.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !self.gap
    }

    /// The file that the frames make up, unless one was skipped.
    #[must_use]
    pub fn finish(self) -> Option<File> {
        let Self { hasher, size, checks, gap } = self;
        (!gap).then(|| File { hash: FileHash::from_bytes(hasher.finalize().into()), size, checks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_leaves_no_hash() {
        let mut digest = FileDigest::default();
        digest.feed(b"ab");
        digest.feed(b"c");
        let mut gap = digest.clone();
        let checks = vec![crc32c::crc32c(b"ab"), crc32c::crc32c(b"c")];
        assert_eq!(digest.finish(), Some(File { hash: FileHash::digest_of(b"abc"), size: 3, checks }));
        gap.feed_or_skip(None);
        gap.feed(b"d");
        assert_eq!(gap.finish(), None);
    }
}
