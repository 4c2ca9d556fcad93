//! The index on SQLite.
