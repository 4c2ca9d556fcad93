//! The index on SQLite, from outside.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is how a test fails")]

mod conformance;
mod opening;
mod revisions;
mod statements;
mod touching;
