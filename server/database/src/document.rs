//! Documents: small files that are served as they were sent.

use crate::ChunkRuns;

/// What a document is; with its name it makes up its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// A `.ls` listing that was uploaded for a path; named by the path's hash part.
    Listing,
    /// A build log; named by the base name of the derivation.
    Log,
    /// A realisation of Nix 2.4 to 2.34; named `sha256:<hex>!<output>`.
    Realisation,
    /// A realisation of Nix 2.35 and later; named `<drv>/<output>`.
    BuildTrace,
    /// A debuginfo link; named by its build id.
    DebugInfo,
    /// A `.drv` file given as evidence of a claim; named by its base name. No address leads to it.
    Derivation,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Listing, Self::Log, Self::Realisation, Self::BuildTrace, Self::DebugInfo, Self::Derivation];

    /// The kind as the database has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listing => "listing",
            Self::Log => "log",
            Self::Realisation => "realisation",
            Self::BuildTrace => "build-trace",
            Self::DebugInfo => "debuginfo",
            Self::Derivation => "derivation",
        }
    }

    /// The kind that the database has under this text.
    #[must_use]
    pub fn of_str(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The chunks of its bytes.
    pub manifest: ChunkRuns,
    /// Its length in bytes.
    pub size: u64,
}
