//! What a rebuild tells.

use database::Totals;
use serde::Serialize;

/// Of a long list, how many are named; the rest is counted.
const NAMED: usize = 1000;

/// What came of a rebuild.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Packs that were read.
    pub packs: u64,
    /// Caches that are shown.
    pub caches: u64,
    /// Paths that are shown, over all caches.
    pub paths: u64,
    /// NARs that are known.
    pub nars: u64,
    /// Chunks that are known.
    pub chunks: u64,
    /// Documents that were restored.
    pub documents: u64,
    /// Claims that were restored.
    pub claims: u64,
    /// Tags that were restored.
    pub tags: u64,
    /// Revocations of tokens that still matter.
    pub revocations: u64,
    /// Bytes of all packs with frames.
    pub stored_bytes: u64,
    /// Packs that could not be read.
    pub damaged_packs: List<LeftOut>,
    /// Frames that are not what they should be; found by verifying only.
    pub damaged_frames: List<LeftOut>,
    /// NARs of which something is missing.
    pub damaged_nars: List<LeftOut>,
    /// Paths that are not shown, since their NARs are not whole.
    pub hidden_paths: List<LeftOut>,
    /// Documents of which something is missing.
    pub damaged_documents: List<LeftOut>,
    /// Records that make no sense.
    pub malformed_records: List<LeftOut>,
    /// Caches that no record describes: private, with a fresh key.
    pub assumed_caches: Vec<String>,
    /// Signing keys that have to be given again.
    pub lost_keys: Vec<LostKey>,
}

/// Something that could not be restored.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// A signing key that has to be given again.
#[derive(Debug, Clone, Serialize)]
pub struct LostKey {
    /// Of which cache.
    pub cache: String,
    /// Its public half.
    pub public: String,
    /// Why it is lost.
    pub why: String,
}

/// A list that does not grow without bound.
#[derive(Debug, Clone, Serialize)]
pub struct List<T> {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl List<LeftOut> {
    #[expect(clippy::needless_pass_by_value, reason = "what is named is at hand, and is wanted as text")]
    pub(super) fn add(&mut self, what: impl ToString, why: impl ToString) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(LeftOut { what: what.to_string(), why: why.to_string() });
        }
    }
}

impl Report {
    /// Whether everything is there again.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let lists = [
            &self.damaged_packs,
            &self.damaged_frames,
            &self.hidden_paths,
            &self.damaged_documents,
            &self.malformed_records,
        ];
        lists.iter().all(|list| list.count == 0) && self.assumed_caches.is_empty() && self.lost_keys.is_empty()
    }

    pub(super) fn count(&mut self, totals: &Totals) {
        (self.caches, self.paths, self.nars) = (totals.caches, totals.paths, totals.nars);
        (self.chunks, self.stored_bytes) = (totals.chunks, totals.stored_bytes);
    }
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// How many packs, or parts of packs, are done.
    pub done: u64,
    /// Out of how many, if that is known.
    pub total: Option<u64>,
}

/// The parts of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the tails of packs.
    Reading,
    /// Frames.
    Frames,
    /// NARs.
    Nars,
    /// Caches, paths, documents.
    Paths,
    /// Claims, tags, revoked tokens.
    Promotion,
}

impl Stage {
    /// The stage as people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading packs",
            Self::Frames => "frames",
            Self::Nars => "NARs",
            Self::Paths => "paths",
            Self::Promotion => "promotion",
        }
    }
}
