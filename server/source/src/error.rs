//! What can go wrong in a source.

use std::{io, path::PathBuf};

use formats::StorePathHash;

/// The result of reading a source.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of a binary cache is none.
    #[error("{0:?} is no binary cache: write an http or https URL, file:///folder, or a folder")]
    Address(String),
    /// A file or folder cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file that should be there is not.
    #[error("{0} is not there")]
    Gone(String),
    /// The other side did not answer, or not as it should.
    #[error("{url} did not answer")]
    Http {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The other side refused.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// An answer is far larger than it can be.
    #[error("{0} is too large")]
    TooLarge(String),
    /// A `nix-cache-info` that makes no sense.
    #[error("the nix-cache-info makes no sense: {0}")]
    CacheInfo(String),
    /// A narinfo that makes no sense.
    #[error("the narinfo of {0} makes no sense: {1}")]
    NarInfo(StorePathHash, String),
    /// A database of Attic cannot be opened or read, or is none.
    #[error("the database of Attic cannot be read")]
    Database(#[source] sqlx::Error),
    /// A row of Attic's database makes no sense.
    #[error("a row of Attic's table {table} makes no sense: {what}")]
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A bucket that Attic's chunks are in cannot be read.
    #[error("the bucket {bucket} cannot be read")]
    Bucket {
        /// Which.
        bucket: String,
        /// Why not.
        #[source]
        source: storage::Error,
    },
    /// A file of Attic lies in another kind of storage than the one that is read.
    #[error("a chunk lies in {0}, which is not the storage that is read")]
    Elsewhere(String),
}

impl Error {
    /// Whether the same may succeed a little later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Http { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::Bucket { source, .. } => matches!(source, storage::Error::Unavailable(_)),
            Self::Database(error) => matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut),
            _ => false,
        }
    }
}
