//! The manifest of a closure: exactly which bytes a verdict is about.

use std::collections::BTreeSet;

use formats::{ContentAddress, KeyName, NarHash, Sha256, Signature, StoreDir, StorePath};
use serde::{Deserialize, Serialize};

/// A closure as it was verified. Its canonical form is its JSON, without white space, paths in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionManifest {
    /// The store dir of all paths.
    pub store_dir: StoreDir,
    /// The outputs that the closure is of.
    pub roots: BTreeSet<StorePath>,
    /// Every path, in order.
    pub paths: Vec<ManifestPath>,
}

/// A path of a closure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPath {
    /// The path.
    pub path: StorePath,
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The length of its NAR.
    pub nar_size: u64,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
    /// How it follows from its contents, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<ContentAddress>,
    /// Where it is.
    pub origin: Origin,
}

/// Where a path of a closure is to be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// In the cache itself.
    Cache,
    /// In an upstream, which has signed it.
    Upstream {
        /// Where.
        url: String,
        /// With which key.
        key: KeyName,
        /// The signature.
        signature: Signature,
    },
}

impl PromotionManifest {
    /// The canonical form.
    ///
    /// # Errors
    /// Never in fact: every part has a JSON form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// SHA-256 of the canonical form.
    ///
    /// # Errors
    /// As [`PromotionManifest::to_json`].
    pub fn digest(&self) -> Result<Sha256, serde_json::Error> {
        Ok(Sha256::digest_of(self.to_json()?.as_bytes()))
    }
}
