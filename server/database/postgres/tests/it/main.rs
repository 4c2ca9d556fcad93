//! The index on PostgreSQL, from outside: on a real server.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is how a test fails")]

mod concurrency;
mod conformance;
mod plans;
mod revisions;
mod statements;
mod tls;
mod young;
