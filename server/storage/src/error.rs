//! What can go wrong in a store.

use std::io;

use crate::Key;

/// The result of asking a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason behind an error, as the store's medium has it.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a store could not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("the object {key} does not exist")]
    NotFound {
        /// Which.
        key: Key,
    },
    /// The object is shorter than the range that was asked for: the range is wrong, or the object is damaged.
    #[error("the object {key} is too short: {wanted} bytes were asked for, {got} are there")]
    Truncated {
        /// Which.
        key: Key,
        /// The length of the range.
        wanted: u64,
        /// How much of it the object has.
        got: u64,
    },
    /// An earlier write to this object failed or was cut short, so that it must not be finished.
    #[error("an earlier write to the object {key} failed")]
    Interrupted {
        /// Which.
        key: Key,
    },
    /// The store is full.
    #[error("the storage has no space left")]
    NoSpace(#[source] Cause),
    /// The store may not be read or written by this process.
    #[error("the storage denies access")]
    Denied(#[source] Cause),
    /// The store is away or fails: the same call may succeed later.
    #[error("the storage is not available")]
    Unavailable(#[source] Cause),
}

impl Error {
    /// Sorts an error of the operating system into its situation; that a file is absent, `key` explains.
    pub(crate) fn from_io(key: &Key, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound { key: key.clone() },
            _ => Self::from(error),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace(Box::new(error)),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied(Box::new(error)),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}
