//! Making the index anew from the storage alone.
//!
//! First every pack's tail is read, several at a time, and its records are set down in a scratch file; what stays in memory is some 200
//! bytes for each pack. Then the records are replayed in the order of their stamps, through the same transactions as in service: all
//! frames, then all NARs, then caches, paths, documents and removals, then promotion and revoked tokens. A replay over an index that has part of it ends up the same, so
//! a rebuild that was broken off is begun again.

mod caches;
mod frames;
mod nars;
mod paths;
mod report;
mod spool;
mod survey;
mod tail;
mod told;
mod verify;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use database::{CommitError, Database, NewChunk, PackName};
use protocol::{ChunkHash, Clock};
use storage::Storage;

use crate::journal::Seal;

pub use report::{LeftOut, LostKey, Progress, Report, Stage};

/// How to rebuild.
#[derive(Debug, Clone)]
pub struct Options {
    /// Go on in an index that has something already.
    pub resume: bool,
    /// Decompress and hash every frame and every NAR.
    pub verify: bool,
    /// Where the scratch file goes.
    pub scratch: PathBuf,
}

/// Why an index could not be rebuilt. Packs that cannot be read are no reason: they are reported.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is something in the index, and nobody said to go on.
    #[error("the index is not empty: it has {caches} caches and {paths} paths")]
    NotEmpty {
        /// Caches.
        caches: u64,
        /// Paths.
        paths: u64,
    },
    /// The storage is away.
    #[error("the storage failed")]
    Storage(#[from] storage::Error),
    /// The index failed.
    #[error("the index failed")]
    Database(#[from] database::Error),
    /// The index refused what it should have taken: somebody else is using it.
    #[error("the index refused a commit; nothing else may use it meanwhile")]
    Commit(#[source] CommitError),
    /// The scratch file cannot be used.
    #[error("the scratch file in {folder} cannot be used")]
    Scratch {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl From<CommitError> for RebuildError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Database(error) => Self::Database(error),
            error => Self::Commit(error),
        }
    }
}

/// A rebuild under way.
struct Rebuild<'a> {
    storage: Arc<dyn Storage>,
    database: Arc<dyn Database>,
    clock: &'a dyn Clock,
    seal: Option<&'a Seal>,
    options: Options,
    report: Report,
    progress: &'a mut dyn FnMut(Progress),
    /// Frames that are known to be damaged: they count as not there.
    damage: HashSet<(PackName, u64)>,
    /// Frames of chunks that have another frame in the index.
    spare: HashMap<ChunkHash, Vec<(PackName, NewChunk)>>,
}

/// Rebuilds the index in `database` from `storage`.
///
/// # Errors
/// If the index is not empty, or the storage or the index fails.
pub async fn rebuild(
    storage: Arc<dyn Storage>,
    database: Arc<dyn Database>,
    seal: Option<&Seal>,
    clock: &dyn Clock,
    options: Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, RebuildError> {
    let totals = database.totals().await?;
    if !options.resume && (totals.caches, totals.paths, totals.nars, totals.stored_bytes) != (0, 0, 0, 0) {
        return Err(RebuildError::NotEmpty { caches: totals.caches, paths: totals.paths });
    }
    let report = Report::default();
    let (damage, spare) = (HashSet::new(), HashMap::new());
    let mut rebuild = Rebuild { storage, database, clock, seal, options, report, progress, damage, spare };
    let mut survey = rebuild.survey().await?;
    rebuild.replay_frames(&mut survey).await?;
    rebuild.replay_nars(&mut survey).await?;
    rebuild.replay_paths(&mut survey).await?;
    let totals = rebuild.database.totals().await?;
    rebuild.report.count(&totals);
    Ok(rebuild.report)
}

impl Rebuild<'_> {
    fn tell(&mut self, stage: Stage, done: u64, total: Option<u64>) {
        (self.progress)(Progress { stage, done, total });
    }
}

#[cfg(test)]
mod tests;
