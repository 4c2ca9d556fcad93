//! What SQLite's failures mean to the rest of the server.

use database::Error;

/// Result codes after which the same call may succeed later. The low byte is the code; the rest says more.
mod transient {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NO_MEMORY: i32 = 7;
    pub(super) const INTERRUPT: i32 = 9;
    pub(super) const IO: i32 = 10;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANNOT_OPEN: i32 = 14;
    pub(super) const PROTOCOL: i32 = 15;
    pub(super) const ALL: [i32; 8] = [BUSY, LOCKED, NO_MEMORY, INTERRUPT, IO, FULL, CANNOT_OPEN, PROTOCOL];
}

/// Sorts a failure by whether it may pass.
pub(crate) fn failed(error: sqlx::Error) -> Error {
    let passes = match &error {
        sqlx::Error::Database(e) => e
            .code()
            .and_then(|code| code.parse::<i32>().ok())
            .is_some_and(|code| transient::ALL.contains(&(code & 0xff))),
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    if passes { Error::Unavailable(Box::new(error)) } else { Error::Failed(Box::new(error)) }
}
