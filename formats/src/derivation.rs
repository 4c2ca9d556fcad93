//! Derivations: what Nix builds, and the paths that follow from it.
//!
//! A `.drv` file is one term of the ATerm format. It is read strictly: what is accepted is exactly what Nix writes, so that a
//! derivation renders as the bytes that it was read from, and its own store path can be computed from either.

mod aterm;
mod modulo;

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::content_address::{ContentAddress, ContentAddressError};
use crate::hash::{HashAlgorithm, HashError, Sha256};
use crate::store_dir::StoreDir;
use crate::store_path::{StorePath, StorePathError, StorePathName};

pub use modulo::{DerivationHash, ModuloError, OutputPath};

/// The longest derivation that is read; real ones rarely reach 1 MiB.
pub const MAX_DERIVATION_BYTES: usize = 16 << 20;

/// Why bytes are not a derivation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DerivationError {
    /// It is longer than any real one.
    #[error("a derivation of {bytes} bytes is longer than {max}", max = MAX_DERIVATION_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Another byte than the grammar has, or none.
    #[error("byte {position} of the derivation: expected {expected}")]
    Expected {
        /// Where.
        position: usize,
        /// What the grammar has there.
        expected: &'static str,
    },
    /// It is written in a later format, for derivations that make derivations.
    #[error("the derivation is in a versioned format (DrvWithVersion), which is not understood")]
    Versioned,
    /// Nix would have written the same derivation otherwise: another order, something twice, a needless escape.
    #[error("byte {position} of the derivation is not what Nix would have written")]
    NotCanonical {
        /// The first byte that differs.
        position: usize,
    },
    /// A path that is no store path.
    #[error("byte {position} of the derivation: not a store path")]
    Path {
        /// Where the text begins.
        position: usize,
        /// What is wrong.
        #[source]
        source: StorePathError,
    },
    /// A name that no output can have.
    #[error("byte {position} of the derivation: not the name of an output")]
    OutputName {
        /// Where the text begins.
        position: usize,
        /// What is wrong.
        #[source]
        source: StorePathError,
    },
    /// How an output is hashed makes no sense.
    #[error("byte {position} of the derivation: the hash of an output is not valid")]
    OutputHash {
        /// Where the text begins.
        position: usize,
        /// What is wrong.
        #[source]
        source: HashError,
    },
    /// An output with a path and a method, and no hash.
    #[error("byte {position} of the derivation: an output whose path is not known yet has a path")]
    OutputPath {
        /// Where the output begins.
        position: usize,
    },
    /// An input is not a derivation.
    #[error("byte {position} of the derivation: an input derivation does not end in .drv")]
    InputName {
        /// Where the text begins.
        position: usize,
    },
    /// It makes nothing, things of several kinds, or several fixed things.
    #[error("a derivation has outputs of one kind; a fixed output is the only one and is called out")]
    Outputs,
}

/// What is known of an output before it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Its path follows from the derivation.
    InputAddressed(StorePath),
    /// Its contents are known beforehand, and so its path.
    Fixed {
        /// The path.
        path: StorePath,
        /// The contents.
        ca: ContentAddress,
    },
    /// Its path will follow from its contents.
    Floating {
        /// How its contents are put in order, as Nix writes it: nothing, `r:`, `text:` or `git:`.
        method: Method,
        /// How they are hashed.
        algorithm: HashAlgorithm,
    },
    /// As [`Output::Floating`], and it is built anew each time.
    Impure {
        /// As in [`Output::Floating`].
        method: Method,
        /// As in [`Output::Floating`].
        algorithm: HashAlgorithm,
    },
    /// Its path will follow from the derivation, once those of its inputs are known.
    Deferred,
}

/// How contents are put in order to be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// The bytes of a file.
    Flat,
    /// The NAR.
    NixArchive,
    /// The bytes of a file that may have references.
    Text,
    /// The git tree.
    Git,
}

impl Method {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Flat => "",
            Self::NixArchive => "r:",
            Self::Text => "text:",
            Self::Git => "git:",
        }
    }
}

/// A derivation, as its `.drv` file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// What it makes; all of one kind.
    pub outputs: BTreeMap<StorePathName, Output>,
    /// The outputs of other derivations that it needs.
    pub input_derivations: BTreeMap<StorePath, BTreeSet<StorePathName>>,
    /// The other paths that it needs.
    pub input_sources: BTreeSet<StorePath>,
    /// The system that it is built on.
    pub system: Vec<u8>,
    /// The program that builds it.
    pub builder: Vec<u8>,
    /// The program's arguments.
    pub arguments: Vec<Vec<u8>>,
    /// The program's environment.
    pub environment: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Derivation {
    /// Reads a `.drv` file.
    pub fn parse(store_dir: &StoreDir, bytes: &[u8]) -> Result<Self, DerivationError> {
        if bytes.len() > MAX_DERIVATION_BYTES {
            return Err(DerivationError::TooLong { bytes: bytes.len() });
        }
        let derivation = aterm::parse(store_dir, bytes)?;
        derivation.check_outputs()?;
        let rendered = derivation.render(store_dir);
        if rendered != bytes {
            let same = rendered.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            return Err(DerivationError::NotCanonical { position: same });
        }
        Ok(derivation)
    }

    /// Writes the `.drv` file, byte for byte as Nix does.
    pub fn render(&self, store_dir: &StoreDir) -> Vec<u8> {
        aterm::render(self, store_dir)
    }

    /// The derivation's own store path; `name` ends in `.drv`.
    pub fn store_path(&self, store_dir: &StoreDir, name: &StorePathName) -> Result<StorePath, ContentAddressError> {
        let references = self.input_derivations.keys().chain(&self.input_sources).cloned().collect();
        ContentAddress::Text(Sha256::digest_of(&self.render(store_dir))).store_path(store_dir, name, &references)
    }

    /// Whether its outputs are known beforehand.
    pub fn is_fixed(&self) -> bool {
        self.outputs.values().any(|output| matches!(output, Output::Fixed { .. }))
    }

    /// Whether an attribute such as `__noChroot` is set, in the environment or among structured attributes.
    ///
    /// Anything but nothing, `0` and false counts: what a later Nix takes for yes must not pass for no here.
    pub fn has_flag(&self, name: &str) -> bool {
        let plain = self.environment.get(name.as_bytes()).is_some_and(|value| !matches!(&value[..], b"" | b"0"));
        let structured = || {
            let attributes: serde_json::Value = serde_json::from_slice(self.environment.get(&b"__json"[..])?).ok()?;
            let value = attributes.get(name)?;
            Some(!(value.is_null() || value == false || value == 0 || value == "" || value == "0"))
        };
        plain || structured().unwrap_or(false)
    }

    fn check_outputs(&self) -> Result<(), DerivationError> {
        let mut outputs = self.outputs.values();
        let first = outputs.next().ok_or(DerivationError::Outputs)?;
        let of_one_kind = outputs.all(|output| std::mem::discriminant(output) == std::mem::discriminant(first));
        let is_out = || self.outputs.len() == 1 && self.outputs.keys().all(|name| name.as_str() == "out");
        if of_one_kind && (!self.is_fixed() || is_out()) { Ok(()) } else { Err(DerivationError::Outputs) }
    }
}

#[cfg(test)]
mod tests;
