//! Content addresses: the claim that a store path was computed from what it holds.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

use crate::hash::{Hash, HashAlgorithm, HashError, Sha256};
use crate::store_dir::StoreDir;
use crate::store_path::{StorePath, StorePathHash, StorePathName};
use crate::text::serde_as_text;

/// Why a text is not a content address, or why no store path follows from one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContentAddressError {
    /// It starts with neither `text:` nor `fixed:`.
    #[error("a content address starts with 'text:' or 'fixed:'")]
    UnknownMethod,
    /// What follows is not a hash.
    #[error("the hash of the content address is not valid")]
    Hash(#[source] HashError),
    /// A git tree is hashed with SHA-1 or SHA-256, nothing else.
    #[error("git hashes with sha1 or sha256, not {found}")]
    GitAlgorithm {
        /// What was given.
        found: HashAlgorithm,
    },
    /// Only texts, and NARs hashed with SHA-256, can have references.
    #[error("a path with the content address {ca} cannot have references")]
    References {
        /// The address in question.
        ca: ContentAddress,
    },
    /// A text cannot know its own path.
    #[error("a text cannot refer to itself")]
    SelfReference,
}

/// How a content-addressed store path was made from its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentAddress {
    /// A single file and its references, as derivations and `builtins.toFile` make: `text:sha256:…`.
    Text(Sha256),
    /// The bytes of a single file: `fixed:sha256:…`.
    Flat(Hash),
    /// The NAR: `fixed:r:sha256:…`.
    NixArchive(Hash),
    /// The git tree or blob: `fixed:git:sha1:…`.
    Git(Hash),
}

impl ContentAddress {
    /// The hash of the contents, however they were put in order.
    pub fn hash(&self) -> Hash {
        match self {
            Self::Text(hash) => (*hash).into(),
            Self::Flat(hash) | Self::NixArchive(hash) | Self::Git(hash) => *hash,
        }
    }

    /// Computes the store path that these contents have under that name.
    ///
    /// `references` are to other paths; for a path that also refers to itself see
    /// [`ContentAddress::store_path_with_self_reference`].
    pub fn store_path(
        &self,
        store_dir: &StoreDir,
        name: &StorePathName,
        references: &BTreeSet<StorePath>,
    ) -> Result<StorePath, ContentAddressError> {
        self.compute(store_dir, name, references, false)
    }

    /// Computes the store path of contents that contain that very path.
    ///
    /// The hash is then one of the contents with their own hash part blanked out.
    pub fn store_path_with_self_reference(
        &self,
        store_dir: &StoreDir,
        name: &StorePathName,
        others: &BTreeSet<StorePath>,
    ) -> Result<StorePath, ContentAddressError> {
        self.compute(store_dir, name, others, true)
    }

    fn compute(
        &self,
        store_dir: &StoreDir,
        name: &StorePathName,
        references: &BTreeSet<StorePath>,
        to_itself: bool,
    ) -> Result<StorePath, ContentAddressError> {
        let with_references = |kind: &str| {
            let mut kind = kind.to_owned();
            for reference in references {
                kind.push(':');
                kind.push_str(&store_dir.join(reference));
            }
            if to_itself {
                kind.push_str(":self");
            }
            kind
        };
        let fixed_output = |prefix: &str, hash: &Hash| {
            let inner = Sha256::digest_of(format!("fixed:out:{prefix}{}:", hash.to_hex()).as_bytes());
            ("output:out".to_owned(), inner)
        };
        let source = |hash: &Hash| Sha256::try_from(*hash).ok();

        let (kind, inner) = match self {
            Self::Text(_) if to_itself => return Err(ContentAddressError::SelfReference),
            Self::Text(hash) => (with_references("text"), *hash),
            Self::NixArchive(hash) if let Some(hash) = source(hash) => (with_references("source"), hash),
            _ if to_itself || !references.is_empty() => return Err(ContentAddressError::References { ca: *self }),
            Self::Flat(hash) => fixed_output("", hash),
            Self::NixArchive(hash) => fixed_output("r:", hash),
            Self::Git(hash) => fixed_output("git:", hash),
        };
        Ok(make_store_path(store_dir, &kind, inner, name))
    }
}

/// Nix's scheme for all store paths: hash the description, fold the hash to 160 bits.
pub(crate) fn make_store_path(store_dir: &StoreDir, kind: &str, inner: Sha256, name: &StorePathName) -> StorePath {
    let mut description = kind.to_owned();
    let _ = write!(description, ":sha256:{}:{store_dir}:{name}", inner.hex());
    let digest = Sha256::digest_of(description.as_bytes());
    let mut folded = [0; 20];
    for (at, byte) in digest.as_bytes().iter().enumerate() {
        folded[at % 20] ^= byte;
    }
    StorePath::new(StorePathHash::from_bytes(folded), name.clone())
}

impl FromStr for ContentAddress {
    type Err = ContentAddressError;

    fn from_str(text: &str) -> Result<Self, ContentAddressError> {
        let hash = |text: &str| -> Result<Hash, ContentAddressError> {
            // Unlike elsewhere, Nix does not read SRI here.
            if text.contains('-') {
                return Err(ContentAddressError::Hash(HashError::NoAlgorithm));
            }
            text.parse().map_err(ContentAddressError::Hash)
        };
        if let Some(rest) = text.strip_prefix("text:") {
            return hash(rest)?.try_into().map(Self::Text).map_err(ContentAddressError::Hash);
        }
        let rest = text.strip_prefix("fixed:").ok_or(ContentAddressError::UnknownMethod)?;
        if let Some(rest) = rest.strip_prefix("r:") {
            Ok(Self::NixArchive(hash(rest)?))
        } else if let Some(rest) = rest.strip_prefix("git:") {
            let hash = hash(rest)?;
            match hash.algorithm() {
                HashAlgorithm::Sha1 | HashAlgorithm::Sha256 => Ok(Self::Git(hash)),
                found => Err(ContentAddressError::GitAlgorithm { found }),
            }
        } else {
            Ok(Self::Flat(hash(rest)?))
        }
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(hash) => write!(f, "text:{hash}"),
            Self::Flat(hash) => write!(f, "fixed:{hash}"),
            Self::NixArchive(hash) => write!(f, "fixed:r:{hash}"),
            Self::Git(hash) => write!(f, "fixed:git:{hash}"),
        }
    }
}

serde_as_text!(ContentAddress);

#[cfg(test)]
mod tests;
