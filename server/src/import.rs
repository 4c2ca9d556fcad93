//! Moving in: paths of other caches, fetched, verified and stored as if they had been pushed.
//!
//! Nothing is believed: every NAR is decoded, parsed and hashed on its way in, whatever the other side says of it. References come
//! before their referrers, and what is there already is not fetched, so an import that was broken off is begun again.

pub mod attic;
mod order;
mod report;
mod retry;
mod walk;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use database::{Cache, Database};
use formats::PublicKey;

use crate::{
    ingest::{Ingest, IngestError},
    store::StoreError,
};

pub use report::{ImportProgress, ImportReport};
pub use walk::import_paths;

/// How to import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Whose signatures count; if there are none, signatures are kept and not looked at.
    pub trusted: Vec<PublicKey>,
    /// How many paths are fetched at a time.
    pub jobs: usize,
}

/// Why an import cannot go on. What is wrong with single paths is reported instead.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source cannot be read.
    #[error("the source cannot be read")]
    Source(#[from] source::Error),
    /// The paths of the source are for another store than those of the cache.
    #[error("the source has paths of {theirs}, the cache those of {ours}")]
    StoreDir {
        /// The source's.
        theirs: String,
        /// The cache's.
        ours: String,
    },
    /// Only folders can be listed.
    #[error("this source cannot be listed")]
    NoListing,
    /// The index failed.
    #[error("the index failed")]
    Database(#[from] database::Error),
    /// A cache could not be made.
    #[error("a cache could not be made")]
    Journal(#[from] crate::journal::JournalError),
}

/// Takes paths in.
pub struct Importer<'a> {
    /// The write path.
    pub ingest: &'a Ingest,
    /// The index.
    pub database: &'a Arc<dyn Database>,
    /// How.
    pub options: ImportOptions,
    /// The cache that is imported into.
    pub cache: Cache,
    /// Whether our own storage or index has failed, so that going on is of no use.
    broken: AtomicBool,
}

impl<'a> Importer<'a> {
    /// An importer into `cache`.
    #[must_use]
    pub fn new(ingest: &'a Ingest, database: &'a Arc<dyn Database>, options: ImportOptions, cache: Cache) -> Self {
        Self { ingest, database, options, cache, broken: AtomicBool::new(false) }
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Notes an error that every further path would meet too.
    fn heed(&self, error: &IngestError) {
        if let IngestError::Store(StoreError::Storage(_) | StoreError::Database(_) | StoreError::Stopped) = error {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}
