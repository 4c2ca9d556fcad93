//! The hash of what will be served.

use formats::FileHash;
use sha2::{Digest, Sha256};

/// Gathers the SHA-256 and length of a NAR's frames, in order, as they are stored.
#[derive(Debug, Clone, Default)]
pub struct FileDigest {
    hasher: Sha256,
    size: u64,
    gap: bool,
}

impl FileDigest {
    /// Takes the next frame.
    pub fn feed(&mut self, frame: &[u8]) {
        if !self.gap {
            self.hasher.update(frame);
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

    /// The hash and length of all frames, unless one was skipped.
    #[must_use]
    pub fn finish(self) -> Option<(FileHash, u64)> {
        (!self.gap).then(|| (FileHash::from_bytes(self.hasher.finalize().into()), self.size))
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
        assert_eq!(digest.finish(), Some((FileHash::digest_of(b"abc"), 3)));
        gap.feed_or_skip(None);
        gap.feed(b"d");
        assert_eq!(gap.finish(), None);
    }
}
