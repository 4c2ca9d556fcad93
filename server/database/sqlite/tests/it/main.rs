//! The index on SQLite, from outside.

mod conformance;
mod opening;
mod statements;
