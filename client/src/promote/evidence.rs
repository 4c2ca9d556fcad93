//! The derivations of a build, as the server wants to see them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use formats::{Derivation, DerivationHash, OutputPath, StorePath, StorePathName};

use super::{GatherError, read};
use crate::nix::LocalStore;

/// How many bytes of derivations go into one request; a longer derivation has one of its own.
const BATCH_BYTES: usize = 4 << 20;

/// The derivation of a claim and all that it needs.
#[derive(Debug)]
pub struct Evidence {
    root: Derivation,
    outputs: BTreeMap<StorePathName, OutputPath>,
    derivations: Vec<StorePath>,
}

impl Evidence {
    /// Follows a derivation's inputs through the local store.
    ///
    /// # Errors
    /// One of them is not there, or is no derivation.
    pub(super) fn read(store: &dyn LocalStore, path: &StorePath) -> Result<Self, GatherError> {
        let mut hashes: HashMap<StorePath, DerivationHash> = HashMap::new();
        let mut derivations = Vec::new();
        let mut open = vec![path.clone()];
        let mut root = None;
        while let Some(next) = open.pop() {
            if hashes.contains_key(&next) {
                continue;
            }
            let (derivation, _) = read(store, &next)?;
            let mut unknown: Vec<_> =
                derivation.input_derivations.keys().filter(|input| !hashes.contains_key(input)).cloned().collect();
            if !unknown.is_empty() {
                open.push(next);
                open.append(&mut unknown);
                continue;
            }
            // Every input is known by now, so nothing is missing.
            let hash = derivation.hash_modulo(store.store_dir(), |input| hashes.get(input).copied());
            let hash = hash.unwrap_or(DerivationHash::Deferred);
            if next == *path {
                let outputs =
                    derivation.output_paths(store.store_dir(), next.name(), |input| hashes.get(input).copied());
                root = Some((derivation, outputs.unwrap_or_default()));
            }
            derivations.push(next.clone());
            hashes.insert(next, hash);
        }
        let (root, outputs) = root.ok_or_else(|| GatherError::NotBuilt(path.clone()))?;
        Ok(Self { root, outputs, derivations })
    }

    /// The derivation itself.
    #[must_use]
    pub const fn root(&self) -> &Derivation {
        &self.root
    }

    /// Where its outputs go.
    #[must_use]
    pub const fn outputs(&self) -> &BTreeMap<StorePathName, OutputPath> {
        &self.outputs
    }

    /// All derivations, inputs first.
    #[must_use]
    pub fn derivations(&self) -> &[StorePath] {
        &self.derivations
    }
}

/// The bodies of the requests that send these derivations, made one after the other.
pub fn batches<'a>(
    store: &'a dyn LocalStore,
    paths: &'a [StorePath],
) -> impl Iterator<Item = Result<Bytes, GatherError>> + 'a {
    let mut rest = paths.iter();
    std::iter::from_fn(move || {
        let mut body = Vec::new();
        while body.len() < BATCH_BYTES {
            let Some(path) = rest.next() else { break };
            match read(store, path) {
                Ok((_, bytes)) => {
                    body.extend_from_slice(format!("{path} {}\n", bytes.len()).as_bytes());
                    body.extend_from_slice(&bytes);
                }
                Err(error) => return Some(Err(error)),
            }
        }
        (!body.is_empty()).then(|| Ok(body.into()))
    })
}
