//! What PostgreSQL's failures mean to the rest of the server.

use std::{fmt, io};

use database::Error;

/// SQLSTATE classes after which the same call may succeed later: connections, transactions that lost against another one,
/// resources, an operator's intervention, the system below.
const UNAVAILABLE: [&str; 5] = ["08", "40", "53", "57", "58"];
/// Codes of the same kind in other classes: a lock was not to be had; this is a standby by now.
const UNAVAILABLE_CODES: [&str; 2] = ["55P03", READ_ONLY];

/// What a server says that was the primary before a failover.
const READ_ONLY: &str = "25006";
/// Codes after which another attempt is worth while at once: the connection is lost, or not to be had for a moment; …
const LOST: [&str; 5] = ["57P01", "57P02", "57P03", "53300", READ_ONLY];
/// … two transactions wanted each other's rows; …
const LOST_AGAINST_ANOTHER: [&str; 2] = ["40001", "40P01"];
/// … the schema changed under a prepared statement, which the next connection prepares anew.
const STALE_PLAN: &str = "0A000";

/// Sorts a failure by whether it may pass.
pub(crate) fn failed(error: sqlx::Error) -> Error {
    let passes = match &error {
        sqlx::Error::Database(e) => e.code().is_some_and(|code| {
            UNAVAILABLE.iter().any(|class| code.starts_with(class)) || UNAVAILABLE_CODES.contains(&&*code)
        }),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        error => is_connection(error),
    };
    if passes { Error::Unavailable(Box::new(error)) } else { Error::Failed(Box::new(error)) }
}

/// Whether another attempt is worth while at once.
pub(crate) fn may_pass(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<InDoubt>() {
            return false;
        }
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return match error {
                sqlx::Error::Database(e) => e.code().is_some_and(|code| {
                    code.starts_with("08")
                        || LOST.contains(&&*code)
                        || LOST_AGAINST_ANOTHER.contains(&&*code)
                        || code == STALE_PLAN && e.message().contains("cached plan")
                }),
                error => is_connection(error),
            };
        }
        next = error.source();
    }
    false
}

/// Whether it was the connection that failed. A certificate that is not good comes as invalid data, and stays so.
fn is_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// The connection was lost while COMMIT was under way: it may have happened or not, and it must not happen twice.
#[derive(Debug)]
pub(crate) struct InDoubt(sqlx::Error);

impl InDoubt {
    /// What the failure of a COMMIT means that cannot be repeated.
    pub(crate) fn of(error: sqlx::Error) -> Error {
        match failed(error) {
            Error::Unavailable(source) => match source.downcast::<sqlx::Error>() {
                Ok(error) => Error::Unavailable(Box::new(Self(*error))),
                Err(source) => Error::Unavailable(source),
            },
            error => error,
        }
    }
}

impl fmt::Display for InDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was lost while a transaction ended")
    }
}

impl std::error::Error for InDoubt {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
