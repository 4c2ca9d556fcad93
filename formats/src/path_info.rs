//! What Nix knows about a valid store path, wherever it is kept.

use std::collections::BTreeSet;

use crate::content_address::ContentAddress;
use crate::hash::NarHash;
use crate::signature::{PublicKey, SecretKey, Signature};
use crate::store_dir::StoreDir;
use crate::store_path::StorePath;

/// A store path with everything that is true of it in any store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path itself.
    pub path: StorePath,
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The length of its NAR.
    pub nar_size: u64,
    /// The paths that its contents mention, itself perhaps among them.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it, if known.
    pub deriver: Option<StorePath>,
    /// Signatures over its fingerprint, none of them checked yet.
    pub signatures: BTreeSet<Signature>,
    /// How the path follows from the contents, if it does.
    pub ca: Option<ContentAddress>,
}

impl PathInfo {
    /// The text that signatures are made over: path, NAR hash and size, and references.
    pub fn fingerprint(&self, store_dir: &StoreDir) -> String {
        let mut text = format!("1;{};{};{};", store_dir.join(&self.path), self.nar_hash, self.nar_size);
        for (at, reference) in self.references.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&store_dir.join(reference));
        }
        text
    }

    /// Adds a signature by this key, keeping those of others.
    pub fn sign(&mut self, store_dir: &StoreDir, key: &SecretKey) {
        self.signatures.insert(key.sign(&self.fingerprint(store_dir)));
    }

    /// Whether one of these keys has truly signed this path.
    pub fn is_signed_by<'k>(&self, store_dir: &StoreDir, keys: impl IntoIterator<Item = &'k PublicKey>) -> bool {
        if self.signatures.is_empty() {
            return false;
        }
        let fingerprint = self.fingerprint(store_dir);
        keys.into_iter().any(|key| self.signatures.iter().any(|signature| key.verify(&fingerprint, signature)))
    }

    /// Whether the path follows from its content address, so that Nix wants no signature for it.
    ///
    /// That the contents have the address's hash is for whoever sees the contents to check.
    pub fn is_content_addressed(&self, store_dir: &StoreDir) -> bool {
        let Some(ca) = &self.ca else { return false };
        let mut others = self.references.clone();
        let computed = if others.remove(&self.path) {
            ca.store_path_with_self_reference(store_dir, self.path.name(), &others)
        } else {
            ca.store_path(store_dir, self.path.name(), &others)
        };
        computed.is_ok_and(|computed| computed == self.path)
    }
}
