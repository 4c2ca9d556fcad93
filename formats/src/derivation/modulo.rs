//! The hash of a derivation modulo its fixed outputs, and the output paths that follow from it.
//!
//! Two derivations that differ only in how they fetch the same fixed contents make the same outputs, so they must have the same
//! output paths: what is hashed has, in place of each input's path, the input's own hash, and a fixed input's hash says nothing
//! but what it comes to.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{Derivation, Output, aterm};
use crate::content_address::{ContentAddressError, make_store_path};
use crate::hash::Sha256;
use crate::store_dir::StoreDir;
use crate::store_path::{StorePath, StorePathError, StorePathName};

/// The hash of a derivation modulo its fixed-output inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DerivationHash {
    /// It can be known before anything is built.
    Known(Sha256),
    /// It depends on contents that nobody has built yet.
    Deferred,
}

/// Why nothing can be computed from a derivation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModuloError {
    /// The hash of an input is not at hand.
    #[error("the input derivation {0} is not known")]
    NoInput(StorePath),
    /// A name that is not one of a derivation's file.
    #[error("the name of a derivation ends in .drv, {0} does not")]
    NotDerivation(StorePathName),
    /// An output's path would have a name that no path can have.
    #[error("an output would have a name that no store path can have")]
    Name(#[from] StorePathError),
    /// A fixed output that cannot be.
    #[error("the fixed output cannot have a path")]
    Fixed(#[from] ContentAddressError),
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPath {
    /// To this path, which follows from the derivation.
    Known(StorePath),
    /// To a path that follows from contents, its own or those of inputs.
    Unknown,
}

impl Derivation {
    /// The hash by which other derivations refer to this one; `inputs` gives those of its own inputs.
    pub fn hash_modulo(
        &self,
        store_dir: &StoreDir,
        inputs: impl Fn(&StorePath) -> Option<DerivationHash>,
    ) -> Result<DerivationHash, ModuloError> {
        self.hash(store_dir, inputs, false)
    }

    /// The paths of its outputs, computed and not read; `name` is that of its `.drv` file.
    pub fn output_paths(
        &self,
        store_dir: &StoreDir,
        name: &StorePathName,
        inputs: impl Fn(&StorePath) -> Option<DerivationHash>,
    ) -> Result<BTreeMap<StorePathName, OutputPath>, ModuloError> {
        let stem = name.as_str().strip_suffix(".drv").ok_or_else(|| ModuloError::NotDerivation(name.clone()))?;
        let mut paths = BTreeMap::new();
        let mut hash = None;
        for (output_name, output) in &self.outputs {
            let path_name: StorePathName =
                if output_name.as_str() == "out" { stem.parse()? } else { format!("{stem}-{output_name}").parse()? };
            let path = match output {
                Output::Fixed { ca, .. } => {
                    OutputPath::Known(ca.store_path(store_dir, &path_name, &BTreeSet::new())?)
                }
                Output::Floating { .. } | Output::Impure { .. } => OutputPath::Unknown,
                Output::InputAddressed(_) | Output::Deferred => {
                    let hash = match hash {
                        Some(hash) => hash,
                        None => *hash.insert(self.hash(store_dir, &inputs, true)?),
                    };
                    match hash {
                        DerivationHash::Deferred => OutputPath::Unknown,
                        DerivationHash::Known(hash) => {
                            let kind = format!("output:{output_name}");
                            OutputPath::Known(make_store_path(store_dir, &kind, hash, &path_name))
                        }
                    }
                }
            };
            paths.insert(output_name.clone(), path);
        }
        Ok(paths)
    }

    fn hash(
        &self,
        store_dir: &StoreDir,
        inputs: impl Fn(&StorePath) -> Option<DerivationHash>,
        masked: bool,
    ) -> Result<DerivationHash, ModuloError> {
        for output in self.outputs.values() {
            match output {
                Output::Fixed { path, ca } => {
                    let (method, digest) = aterm::fixed_words(ca);
                    let text = format!("fixed:out:{method}:{digest}:{}", store_dir.join(path));
                    return Ok(DerivationHash::Known(Sha256::digest_of(text.as_bytes())));
                }
                Output::Floating { .. } | Output::Impure { .. } => return Ok(DerivationHash::Deferred),
                Output::InputAddressed(_) | Output::Deferred => {}
            }
        }
        let mut renamed: BTreeMap<String, BTreeSet<StorePathName>> = BTreeMap::new();
        let mut deferred = false;
        for (path, outputs) in &self.input_derivations {
            match inputs(path).ok_or_else(|| ModuloError::NoInput(path.clone()))? {
                DerivationHash::Deferred => deferred = true,
                DerivationHash::Known(hash) => {
                    renamed.entry(hash.hex()).or_default().extend(outputs.iter().cloned());
                }
            }
        }
        if deferred {
            return Ok(DerivationHash::Deferred);
        }
        Ok(DerivationHash::Known(Sha256::digest_of(&aterm::render_with(self, store_dir, &renamed, masked))))
    }
}
