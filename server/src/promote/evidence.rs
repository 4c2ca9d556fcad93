//! What was gathered about a claim. The predicates look at nothing else.

use std::collections::{BTreeMap, BTreeSet};

use formats::{KeyName, NarHash, OutputPath, PathInfo, StoreDir, StorePath, StorePathHash, StorePathName};
use protocol::promotion::{Builder, ClaimRequest, Origin, Resolution, Seen};
use serde::Serialize;

/// Everything that the predicates look at.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The store dir of the cache.
    pub store_dir: StoreDir,
    /// What is claimed.
    pub claim: ClaimRequest,
    /// By whom.
    pub builder: Builder,
    /// What the derivations say.
    pub derivations: DerivationFacts,
    /// What the closure consists of.
    pub closure: ClosureFacts,
    /// What was found in the NARs that are here, by path.
    pub scans: BTreeMap<StorePath, Scan>,
    /// What builders saw of the closure's paths.
    pub seen: Vec<Seen>,
    /// Checks that others attest.
    pub attested: Vec<Attested>,
    /// How disagreement about them was settled.
    pub resolutions: Vec<(StorePathHash, Resolution)>,
}

/// A check that somebody attests in an envelope of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attested {
    /// What it is called.
    pub name: String,
    /// Whether it was green.
    pub passed: bool,
    /// The keys of the policy that have signed the envelope.
    pub signed_by: Vec<KeyName>,
}

/// What the derivations of a build say.
#[derive(Debug, Clone, Default)]
pub struct DerivationFacts {
    /// How many were read.
    pub read: usize,
    /// Those that are needed and not in the evidence.
    pub missing: BTreeSet<StorePath>,
    /// More than the policy allows.
    pub are_too_many: bool,
    /// Those that set an attribute that is denied, and which.
    pub flagged: Vec<(StorePath, String)>,
    /// Those that are built with access to the network, since what they come to is fixed.
    pub fixed: usize,
    /// Those whose recorded output paths are not what follows from them.
    pub forged: Vec<StorePath>,
    /// Where the outputs of the claimed derivation go; nothing if that cannot be known.
    pub outputs: Option<BTreeMap<StorePathName, OutputPath>>,
}

/// What a closure consists of.
#[derive(Debug, Clone, Default)]
pub struct ClosureFacts {
    /// Every path that was found, and where.
    pub paths: BTreeMap<StorePath, (PathInfo, Origin)>,
    /// Paths that are neither here nor in an upstream, and who refers to them.
    pub missing: BTreeMap<StorePath, Option<StorePath>>,
    /// Upstreams that did not answer.
    pub unreachable: Vec<String>,
    /// More than the policy allows.
    pub is_too_large: bool,
    /// Signatures that the paths here came with, and what is known of them.
    pub signatures: Vec<(StorePath, KeyName, SignatureFact)>,
}

/// What is known of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureFact {
    /// The key is known, and made it.
    Good,
    /// The key is known, and did not make it.
    Forged,
    /// Nobody knows the key.
    Unknown,
}

/// What was found in a NAR when it was read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// All of it was read.
    Read {
        /// The hash of what was read.
        nar_hash: NarHash,
        /// Its length.
        nar_size: u64,
        /// What looks like a secret: what kind, and where in the NAR.
        secrets: Vec<(&'static str, u64)>,
        /// Hash parts of store paths that it mentions, that it does not refer to.
        mentions: BTreeSet<StorePathHash>,
    },
    /// Its stored bytes are damaged; it is in quarantine now.
    Damaged,
}
