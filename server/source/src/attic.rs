//! A deployment of Attic: its database, and its folder or its bucket.
//!
//! Attic keeps a cache as a row with its key in clear, a path as an object of a cache, and a NAR as chunks in a row, each of them a file
//! that is compressed by itself. The statements name only columns that every schema since the one with chunks (January 2023) has.

mod buckets;
mod files;
mod rows;

pub use buckets::AtticBuckets;
pub use files::{AtticFiles, RemoteFile};
pub use rows::{AtticCache, AtticChunk, AtticDatabase, AtticObject};
