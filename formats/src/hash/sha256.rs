//! SHA-256 digests, one type for each thing that is hashed.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

use super::{Hash, HashAlgorithm, HashError};
use crate::base32;
use crate::text::serde_as_text;

macro_rules! sha256_type {
    ($(#[$doc:meta])+ $name:ident) => {
        $(#[$doc])+
        ///
        /// Text is `sha256:<52 characters of Nix base 32>`; every spelling that Nix knows is read.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes a finished digest.
            pub const fn from_bytes(digest: [u8; 32]) -> Self {
                Self(digest)
            }

            /// The digest.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Hashes bytes that are in memory.
            pub fn digest_of(bytes: &[u8]) -> Self {
                Self(sha2::Sha256::digest(bytes).into())
            }

            /// The 52 characters without `sha256:`, as in file names and URLs.
            pub fn nix32(&self) -> String {
                base32::encode(&self.0)
            }

            /// The 64 lower-case hexadecimal characters without `sha256:`.
            pub fn hex(&self) -> String {
                data_encoding::HEXLOWER.encode(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = HashError;

            fn from_str(text: &str) -> Result<Self, HashError> {
                text.parse::<Hash>()?.try_into()
            }
        }

        impl TryFrom<Hash> for $name {
            type Error = HashError;

            fn try_from(hash: Hash) -> Result<Self, HashError> {
                match (hash.algorithm(), hash.digest().try_into()) {
                    (HashAlgorithm::Sha256, Ok(digest)) => Ok(Self(digest)),
                    (found, _) => Err(HashError::WrongAlgorithm { found }),
                }
            }
        }

        impl From<$name> for Hash {
            fn from(hash: $name) -> Self {
                Self::of(HashAlgorithm::Sha256, hash.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "sha256:{}", self.nix32())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        serde_as_text!($name);
    };
}

sha256_type! {
    /// A SHA-256 digest of anything.
    Sha256
}
sha256_type! {
    /// The SHA-256 of a NAR, which names its contents.
    NarHash
}
sha256_type! {
    /// The SHA-256 of a NAR as it travels, that is, compressed.
    FileHash
}

macro_rules! from_and_to_sha256 {
    ($($name:ident),+) => {$(
        impl From<Sha256> for $name {
            fn from(hash: Sha256) -> Self {
                Self(hash.0)
            }
        }

        impl From<$name> for Sha256 {
            fn from(hash: $name) -> Self {
                Self(hash.0)
            }
        }
    )+};
}
from_and_to_sha256!(NarHash, FileHash);
