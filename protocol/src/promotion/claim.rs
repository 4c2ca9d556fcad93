//! What a builder claims of a build.

use std::collections::{BTreeMap, BTreeSet};

use formats::{NarHash, Sha256, Signature, StorePath, StorePathName};
use serde::{Deserialize, Serialize};

use super::Report;
use crate::Timestamp;

/// A claim as it is filed: this source, evaluated so, is this derivation, which came to these outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// The attribute of the flake, written out: `packages.x86_64-linux.hello`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// The system that it was built for.
    pub system: String,
    /// The derivation; it and all that it needs must be in the evidence by the time that the claim is verified.
    pub derivation: StorePath,
    /// What it came to.
    pub outputs: BTreeMap<StorePathName, ClaimedOutput>,
    /// Where it comes from; nothing outside flakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<FlakeSource>,
    /// How it was evaluated.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// What else was seen of this very revision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// What would be found of a claim, as far as that can be told before anything is pushed?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The claim, which is not filed.
    pub claim: ClaimRequest,
    /// The closure of its outputs, as the builder has it.
    pub closure: Vec<CheckedPath>,
}

/// A path as a builder has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckedPath {
    /// The path.
    pub path: StorePath,
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The length of its NAR.
    pub nar_size: u64,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
    /// Who has signed it.
    #[serde(default)]
    pub signatures: BTreeSet<Signature>,
}

/// An output as a builder has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedOutput {
    /// Its path.
    pub path: StorePath,
    /// The hash of its NAR.
    pub nar_hash: NarHash,
}

/// A locked flake, in the words of `nix flake metadata --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlakeSource {
    /// The reference, locked.
    pub url: String,
    /// `locked`: type, revision, NAR hash.
    pub locked: serde_json::Value,
    /// `locks`: the graph of all inputs, as in the lock file.
    pub locks: serde_json::Value,
    /// SHA-256 of the lock file; none if the flake has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_digest: Option<Sha256>,
}

/// How the flake was evaluated, as the client says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluation {
    /// What `nix --version` says.
    pub nix: String,
    /// Whether it could see nothing but the flake and its inputs.
    pub pure: bool,
    /// Inputs that were replaced on the command line.
    pub overrides: Vec<String>,
    /// Whether builds ran in the sandbox, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<bool>,
}

/// A check that somebody ran on this revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What it is called: `nix flake check`.
    pub name: String,
    /// Whether it was green.
    pub passed: bool,
}

/// Who built: taken from the token, never from the claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// The token's subject. Two tokens of one subject are one builder.
    pub subject: String,
    /// Who vouches for the token, if somebody else than this server does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The repository that the job ran for, if the token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The ref that the job ran for, if the token says.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Where a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClaimState {
    /// Waits for its turn.
    Filed,
    /// Is being verified.
    Verifying,
    /// All that makes it clean was found true.
    Clean,
    /// Something was found false.
    Rejected,
    /// Something is missing that may come yet; it is looked at again.
    Stalled,
    /// Its builder took it back.
    Withdrawn,
    /// A promoter took it back, for good.
    Revoked,
}

impl ClaimState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Filed, Self::Verifying, Self::Clean, Self::Rejected, Self::Stalled, Self::Withdrawn, Self::Revoked];

    /// The state as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filed => "filed",
            Self::Verifying => "verifying",
            Self::Clean => "clean",
            Self::Rejected => "rejected",
            Self::Stalled => "stalled",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
        }
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Filed | Self::Verifying | Self::Stalled)
    }
}

impl std::str::FromStr for ClaimState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

impl std::fmt::Display for ClaimState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is no state of a claim")]
pub struct UnknownState;

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Paths that were read again.
    pub paths: u64,
    /// Paths to be read.
    pub of_paths: u64,
    /// Bytes of NARs that were read again.
    pub bytes: u64,
    /// Bytes to be read.
    pub of_bytes: u64,
}

/// A claim as the server has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// Its number.
    pub id: i64,
    /// Where it stands.
    pub state: ClaimState,
    /// Why it was taken back, or could not be verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was claimed.
    pub claim: ClaimRequest,
    /// By whom.
    pub builder: Builder,
    /// When.
    pub filed_at: Timestamp,
    /// How far the verification is, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What was found last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// Which of these derivations has the evidence not?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceQuestion {
    /// The derivations, by base name.
    pub derivations: Vec<StorePath>,
}

/// A NAR hash that a builder saw of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The path.
    pub path: StorePath,
    /// The hash of its NAR, as this builder has it.
    pub nar_hash: NarHash,
}

/// Why something is taken back or settled; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For people.
    pub reason: String,
}
