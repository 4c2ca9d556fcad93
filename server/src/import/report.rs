//! What an import tells.

use std::fmt;

use serde::Serialize;

/// What came of an import.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ImportReport {
    /// Paths that were looked at.
    pub paths: u64,
    /// Paths that the cache had already.
    pub present: u64,
    /// Paths that were taken in; their NARs were fetched, unless another cache here has them.
    pub imported: u64,
    /// Bytes of the NARs of the paths that were taken in.
    pub nar_bytes: u64,
    /// Paths that the cache has with another NAR, which stays.
    pub kept_other: Vec<String>,
    /// Paths that are not there now, and why.
    pub failed: Vec<Failed>,
    /// References that the source does not have.
    pub absent: Vec<String>,
}

/// A path that was not taken in.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// Which.
    pub path: String,
    /// Why.
    pub why: String,
}

impl ImportReport {
    #[expect(clippy::needless_pass_by_value, reason = "what is named is at hand, and is wanted as text")]
    pub(super) fn fail(&mut self, path: impl ToString, why: impl ToString) {
        self.failed.push(Failed { path: path.to_string(), why: why.to_string() });
    }

    /// Adds what came of another part of the import.
    pub fn add(&mut self, other: Self) {
        self.paths += other.paths;
        self.present += other.present;
        self.imported += other.imported;
        self.nar_bytes += other.nar_bytes;
        self.kept_other.extend(other.kept_other);
        self.failed.extend(other.failed);
        self.absent.extend(other.absent);
    }
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportProgress {
    /// Paths that were looked at.
    pub seen: u64,
    /// Paths that are there, or cannot be had.
    pub done: u64,
    /// Bytes of the NARs that were taken in.
    pub nar_bytes: u64,
}

impl fmt::Display for ImportProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} paths, {} MB of NARs", self.done, self.seen, self.nar_bytes / 1_000_000)
    }
}
