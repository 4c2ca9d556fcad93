//! What Nix defined: store paths, hashes, NARs, narinfos, signatures. Pure: no I/O.
//!
//! Text comes in through `FromStr` or a `parse` function and is valid from there on; it goes out through `Display` or
//! `render`, spelled exactly as Nix spells it. Nothing here reads a file, a clock or the environment, and no input,
//! however hostile, makes it panic or allocate more than the input itself justifies.

#[cfg(any(test, feature = "arbitrary"))]
pub mod arbitrary;
pub mod base32;
pub mod cache_info;
pub mod content_address;
pub mod derivation;
pub mod hash;
pub mod nar;
pub mod narinfo;
pub mod path_info;
pub mod realisation;
pub mod reference_scan;
pub mod signature;
pub mod store_dir;
pub mod store_path;

mod base64;
mod text;

pub use base32::Base32Error;
pub use cache_info::{CacheInfo, CacheInfoError};
pub use content_address::{ContentAddress, ContentAddressError};
pub use derivation::{Derivation, DerivationError, DerivationHash, MAX_DERIVATION_BYTES, Output, OutputPath};
pub use hash::{FileHash, Hash, HashAlgorithm, HashError, NarHash, Sha256};
pub use narinfo::{Compression, MAX_NARINFO_BYTES, NarInfo, NarInfoError};
pub use path_info::PathInfo;
pub use realisation::{BuildTraceEntry, BuildTraceKey, DrvOutput, Realisation, RealisationError};
pub use reference_scan::ReferenceScanner;
pub use signature::{KeyError, KeyName, PublicKey, SecretKey, Signature, SignatureError};
pub use store_dir::{StoreDir, StoreDirError};
pub use store_path::{StorePath, StorePathError, StorePathHash, StorePathName};
