//! Gathers what a claim says from the real Nix.

mod evidence;
mod flake;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use formats::{Derivation, DerivationError, OutputPath, StorePath, StorePathName};
use protocol::promotion::{Check, ClaimRequest, ClaimedOutput, Evaluation, FlakeSource};

use crate::nix::{LocalStore, StoreError};

pub use evidence::{Evidence, batches};
pub use flake::{FlakeBuild, evaluate, nix_version};

/// A claim cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The local store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The `nix` command cannot be started.
    #[error("cannot run `{program}`")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The `nix` command failed.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// The command.
        command: String,
        /// The end of what it said.
        said: String,
    },
    /// The `nix` command's answer cannot be read.
    #[error("`{command}` answered something unexpected: {what}")]
    Answer {
        /// The command.
        command: String,
        /// What is wrong with it.
        what: String,
    },
    /// A derivation is not in the store.
    #[error("the derivation {path} cannot be read")]
    Unreadable {
        /// Which.
        path: StorePath,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not a derivation.
    #[error("{path} is not a derivation")]
    Derivation {
        /// Which.
        path: StorePath,
        /// What is wrong with it.
        source: DerivationError,
    },
    /// Nothing of the derivation was built.
    #[error("no output of {0} is in the local store")]
    NotBuilt(StorePath),
    /// A path does not say what it was built by.
    #[error("{0} has no known deriver")]
    NoDeriver(StorePath),
    /// A name that is none of the derivation's outputs.
    #[error("{derivation} has no output {name}")]
    NoOutput {
        /// Of which.
        derivation: StorePath,
        /// The name.
        name: StorePathName,
    },
}

/// What a claim is about.
#[derive(Debug, Clone)]
pub struct Build {
    /// The derivation.
    pub derivation: StorePath,
    /// Outputs whose paths do not follow from it, as they were told.
    pub told: BTreeMap<StorePathName, StorePath>,
    /// Where it comes from, if that is a flake.
    pub source: Option<(FlakeSource, String)>,
    /// How it was evaluated.
    pub evaluation: Evaluation,
    /// What else was seen.
    pub checks: Vec<Check>,
}

/// A claim, and what goes with it.
#[derive(Debug)]
pub struct Gathered {
    /// The claim.
    pub claim: ClaimRequest,
    /// The derivation and all that it needs.
    pub evidence: Evidence,
    /// The outputs, to be pushed.
    pub outputs: BTreeSet<StorePath>,
}

/// The derivation that built a path, as the local store knows it.
///
/// # Errors
/// The path is not valid, or the store does not know.
pub fn deriver(store: &dyn LocalStore, path: &StorePath) -> Result<StorePath, GatherError> {
    let infos = store.path_infos(&[path.clone()].into())?;
    let deriver = infos.into_iter().find(|info| info.path == *path).and_then(|info| info.deriver);
    deriver.ok_or_else(|| GatherError::NoDeriver(path.clone()))
}

/// Puts a claim together: reads the derivations, and asks which outputs there are and what their NAR hashes are.
///
/// # Errors
/// Something is not in the local store, or Nix cannot be asked.
pub fn gather(store: &dyn LocalStore, build: &Build) -> Result<Gathered, GatherError> {
    let evidence = Evidence::read(store, &build.derivation)?;
    let derivation = evidence.root();
    let mut paths: BTreeMap<StorePathName, StorePath> = BTreeMap::new();
    for (name, computed) in evidence.outputs() {
        if let OutputPath::Known(path) = computed {
            paths.insert(name.clone(), path.clone());
        }
    }
    for (name, path) in &build.told {
        if !derivation.outputs.contains_key(name) {
            return Err(GatherError::NoOutput { derivation: build.derivation.clone(), name: name.clone() });
        }
        paths.insert(name.clone(), path.clone());
    }
    let wanted: BTreeSet<StorePath> = paths.values().cloned().collect();
    let valid: BTreeSet<StorePath> = store.registrations(&wanted)?.into_keys().collect();
    if valid.is_empty() {
        return Err(GatherError::NotBuilt(build.derivation.clone()));
    }
    let hashes: BTreeMap<_, _> = store.path_infos(&valid)?.into_iter().map(|info| (info.path, info.nar_hash)).collect();
    let outputs = paths.into_iter().filter_map(|(name, path)| {
        let nar_hash = *hashes.get(&path)?;
        Some((name, ClaimedOutput { path, nar_hash }))
    });
    let (source, attribute) = build.source.clone().unzip();
    let claim = ClaimRequest {
        attribute,
        system: String::from_utf8_lossy(&derivation.system).into_owned(),
        derivation: build.derivation.clone(),
        outputs: outputs.collect(),
        source,
        evaluation: build.evaluation.clone(),
        checks: build.checks.clone(),
    };
    Ok(Gathered { claim, evidence, outputs: valid })
}

/// Reads a derivation from the local store.
fn read(store: &dyn LocalStore, path: &StorePath) -> Result<(Derivation, Vec<u8>), GatherError> {
    let unreadable = |source| GatherError::Unreadable { path: path.clone(), source };
    let bytes = std::fs::read(store.contents(path)).map_err(unreadable)?;
    let derivation = Derivation::parse(store.store_dir(), &bytes);
    let derivation = derivation.map_err(|source| GatherError::Derivation { path: path.clone(), source })?;
    Ok((derivation, bytes))
}
