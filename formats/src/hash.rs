//! Hashes with their algorithm, in all the spellings that Nix reads.

mod sha256;

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::Digest as _;
use thiserror::Error;

use crate::base32::{self, Base32Error};
use crate::base64;
use crate::text::serde_as_text;

pub use sha256::{FileHash, NarHash, Sha256};

/// A hash function that Nix knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say all")]
pub enum HashAlgorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
    Blake3,
}

impl HashAlgorithm {
    /// The name that precedes a digest in text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        }
    }

    /// The number of bytes in a digest.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha512 => MAX_DIGEST,
        }
    }
}

const MAX_DIGEST: usize = 64;

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashAlgorithm {
    type Err = HashError;

    fn from_str(name: &str) -> Result<Self, HashError> {
        match name {
            "md5" => Ok(Self::Md5),
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            "blake3" => Ok(Self::Blake3),
            _ => Err(HashError::UnknownAlgorithm),
        }
    }
}

/// Why a text is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HashError {
    /// Neither `algorithm:digest` nor `algorithm-digest`.
    #[error("a hash starts with its algorithm and ':' or '-'")]
    NoAlgorithm,
    /// A name that is not one of Nix's five.
    #[error("the hash algorithm is none of md5, sha1, sha256, sha512, blake3")]
    UnknownAlgorithm,
    /// A good hash of an algorithm that is not allowed here.
    #[error("only sha256 is allowed here, not {found}")]
    WrongAlgorithm {
        /// What was given.
        found: HashAlgorithm,
    },
    /// The digest is as long as none of its spellings.
    #[error("{length} characters are no {algorithm} digest in any encoding")]
    Length {
        /// The algorithm that was named.
        algorithm: HashAlgorithm,
        /// The number of characters given.
        length: usize,
    },
    /// The digest has the length of Nix base 32, but is none.
    #[error("the digest is not Nix base 32")]
    Base32(#[source] Base32Error),
    /// The digest has the length of hexadecimal or base 64, but is none.
    #[error("byte {position} of the digest does not belong to its encoding")]
    Symbol {
        /// Where in the digest, counted from 0.
        position: usize,
    },
}

/// A digest and the algorithm that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    algorithm: HashAlgorithm,
    /// Zero beyond the digest's own length, so that the derived comparisons hold.
    bytes: [u8; MAX_DIGEST],
}

impl Hash {
    /// Joins a digest to its algorithm; `None` if the length is not the algorithm's.
    pub fn new(algorithm: HashAlgorithm, digest: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_DIGEST];
        (digest.len() == algorithm.digest_len()).then(|| {
            bytes[..digest.len()].copy_from_slice(digest);
            Self { algorithm, bytes }
        })
    }

    /// Hashes bytes that are in memory.
    pub fn digest_of(algorithm: HashAlgorithm, bytes: &[u8]) -> Self {
        match algorithm {
            HashAlgorithm::Md5 => Self::of(algorithm, md5::Md5::digest(bytes).into()),
            HashAlgorithm::Sha1 => Self::of(algorithm, sha1::Sha1::digest(bytes).into()),
            HashAlgorithm::Sha256 => Self::of(algorithm, sha2::Sha256::digest(bytes).into()),
            HashAlgorithm::Sha512 => Self::of(algorithm, sha2::Sha512::digest(bytes).into()),
            HashAlgorithm::Blake3 => Self::of(algorithm, blake3::hash(bytes).into()),
        }
    }

    fn of<const N: usize>(algorithm: HashAlgorithm, digest: [u8; N]) -> Self {
        let mut bytes = [0; MAX_DIGEST];
        bytes[..N].copy_from_slice(&digest);
        Self { algorithm, bytes }
    }

    /// Which function made it.
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The bytes of the digest.
    pub fn digest(&self) -> &[u8] {
        &self.bytes[..self.algorithm.digest_len()]
    }

    /// `sha256:<Nix base 32>`, the form that narinfos and fingerprints use.
    pub fn to_nix32(&self) -> String {
        format!("{}:{}", self.algorithm, base32::encode(self.digest()))
    }

    /// `sha256:<lower-case hexadecimal>`, the form that store paths are computed from.
    pub fn to_hex(&self) -> String {
        format!("{}:{}", self.algorithm, HEXLOWER.encode(self.digest()))
    }

    /// `sha256-<base 64>`, the form of Subresource Integrity.
    pub fn to_sri(&self) -> String {
        format!("{}-{}", self.algorithm, base64::encode(self.digest()))
    }

    /// Reads a digest without its algorithm; the length tells the encoding.
    pub fn parse_digest(algorithm: HashAlgorithm, text: &str) -> Result<Self, HashError> {
        let size = algorithm.digest_len();
        let wrong_length = HashError::Length { algorithm, length: text.len() };
        let digest = if text.len() == size * 2 {
            HEXLOWER_PERMISSIVE
                .decode(text.as_bytes())
                .map_err(|error| HashError::Symbol { position: error.position })?
        } else if text.len() == base32::encoded_len(size) {
            base32::decode(text).map_err(HashError::Base32)?
        } else if text.len() == base64::encoded_len(size) {
            base64::decode(text).map_err(|bad| HashError::Symbol { position: bad.position })?
        } else {
            return Err(wrong_length);
        };
        Self::new(algorithm, &digest).ok_or(wrong_length)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    /// Reads `algorithm:` before Nix base 32, hexadecimal or base 64, and `algorithm-` before base 64.
    fn from_str(text: &str) -> Result<Self, HashError> {
        let at = text.find([':', '-']).ok_or(HashError::NoAlgorithm)?;
        let algorithm: HashAlgorithm = text[..at].parse()?;
        let digest = &text[at + 1..];
        if text[at..].starts_with('-') && digest.len() != base64::encoded_len(algorithm.digest_len()) {
            return Err(HashError::Length { algorithm, length: digest.len() });
        }
        Self::parse_digest(algorithm, digest)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_nix32())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Hash);

#[cfg(test)]
mod tests;
