//! What we defined and both sides speak: names, claims, errors, chunks, wire types.
//!
//! Pure: no I/O, no runtime, no clock of its own. The server and the client meet here; what Nix defined is in `formats`.

pub mod admin;
pub mod attic;
mod chunk;
mod cutter;
mod error;
mod frame;
pub mod keep;
mod manifest;
mod name;
mod permission;
pub mod promotion;
pub mod push;
mod scope;
mod time;
mod token;
mod varint;

pub use chunk::{ChunkHash, ChunkSizes, ChunkSizesError};
pub use cutter::NarCutter;
pub use error::{ErrorBody, ErrorCode};
pub use frame::frame_compressor;
pub use manifest::{Manifest, ManifestEntry, ManifestError};
pub use name::{CacheName, CachePattern, NameError, matches_wildcard};
pub use permission::{Permission, PermissionError, Permissions};
pub use scope::{CacheClaim, CacheGrant, GrantTable, Grants, Scope};
pub use time::{Clock, FixedClock, SystemClock, Timestamp};
pub use token::Claims;
pub use varint::{read_varint, write_varint};
