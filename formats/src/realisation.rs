//! Realisations: which store path an output of a content-addressed derivation turned out to be.
//!
//! Nix has had two shapes of them. Up to 2.34 a realisation names its derivation by a hash and stands alone
//! ([`Realisation`]); since 2.35 a *build trace* names it by path, and the file holds only the value
//! ([`BuildTraceEntry`]).

mod build_trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::{HashError, Sha256};
use crate::signature::{PublicKey, SecretKey, Signature};
use crate::store_path::{StorePath, StorePathError, StorePathName};
use crate::text::serde_as_text;

pub use build_trace::{BuildTraceEntry, BuildTraceKey};

/// The longest realisation that is read.
pub const MAX_REALISATION_BYTES: usize = 1 << 20;

/// Why a text is not a realisation, or not the name of one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RealisationError {
    /// It is longer than any real one.
    #[error("a realisation of {bytes} bytes is longer than {max}", max = MAX_REALISATION_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not JSON of the right shape.
    #[error("the realisation is not the JSON that Nix writes")]
    Json(#[source] serde_json::Error),
    /// The name of a derivation's output has no exclamation mark.
    #[error("a derivation output is written sha256:hash!output")]
    NoOutput,
    /// The derivation is not named by a SHA-256.
    #[error("the hash of a derivation output is not valid")]
    Hash(#[source] HashError),
    /// The output's name could not be part of a store path.
    #[error("the name of a derivation output is not valid")]
    OutputName(#[source] StorePathError),
}

/// An output of a derivation, named by what the derivation does: `sha256:<64 hexadecimal>!out`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrvOutput {
    /// The hash of the derivation modulo its fixed-output inputs.
    pub drv_hash: Sha256,
    /// The output's name, mostly `out`.
    pub output_name: StorePathName,
}

impl FromStr for DrvOutput {
    type Err = RealisationError;

    fn from_str(text: &str) -> Result<Self, RealisationError> {
        let (hash, name) = text.split_once('!').ok_or(RealisationError::NoOutput)?;
        Ok(Self {
            drv_hash: hash.parse().map_err(RealisationError::Hash)?,
            output_name: name.parse().map_err(RealisationError::OutputName)?,
        })
    }
}

impl fmt::Display for DrvOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}!{}", self.drv_hash.hex(), self.output_name)
    }
}

serde_as_text!(DrvOutput);

/// What Nix 2.4 to 2.34 keeps as `realisations/<id>.doi`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Realisation {
    // In the order of Nix's JSON, which sorts its keys.
    /// What the outputs that this was built from turned out to be; empty in newer versions.
    #[serde(default)]
    pub dependent_realisations: BTreeMap<DrvOutput, StorePath>,
    /// The output.
    pub id: DrvOutput,
    /// What it turned out to be.
    pub out_path: StorePath,
    /// Signatures over the rest, none of them checked yet.
    #[serde(default)]
    pub signatures: BTreeSet<Signature>,
}

impl Realisation {
    /// Reads the contents of a `.doi` file.
    pub fn parse(text: &[u8]) -> Result<Self, RealisationError> {
        parse(text)
    }

    /// Writes the contents of a `.doi` file, byte for byte as Nix does.
    pub fn render(&self) -> String {
        render(self)
    }

    /// Where a binary cache keeps it.
    pub fn file_name(&self) -> String {
        format!("realisations/{}.doi", self.id)
    }

    /// The text that signatures are made over: the JSON without them.
    pub fn fingerprint(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Unsigned<'a> {
            dependent_realisations: &'a BTreeMap<DrvOutput, StorePath>,
            id: &'a DrvOutput,
            out_path: &'a StorePath,
        }

        render(&Unsigned {
            dependent_realisations: &self.dependent_realisations,
            id: &self.id,
            out_path: &self.out_path,
        })
    }

    /// Adds a signature by this key, keeping those of others.
    pub fn sign(&mut self, key: &SecretKey) {
        self.signatures.insert(key.sign(&self.fingerprint()));
    }

    /// Whether this key has truly signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let fingerprint = self.fingerprint();
        self.signatures.iter().any(|signature| key.verify(&fingerprint, signature))
    }
}

fn parse<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, RealisationError> {
    if text.len() > MAX_REALISATION_BYTES {
        return Err(RealisationError::TooLong { bytes: text.len() });
    }
    serde_json::from_slice(text).map_err(RealisationError::Json)
}

fn render(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("structs and maps of strings always serialise")
}

#[cfg(test)]
mod tests;
