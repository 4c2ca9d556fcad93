//! Attic's API v1, as its real client speaks it.

use formats::StorePathHash;
use serde::{Deserialize, Serialize};

use crate::CacheName;

/// The header that carries an upload's metadata as JSON.
pub const NAR_INFO_HEADER: &str = "x-attic-nar-info";
/// The header that says how many bytes of metadata stand before the NAR in the body.
pub const NAR_INFO_PREAMBLE_SIZE_HEADER: &str = "x-attic-nar-info-preamble-size";
/// The header on what a public cache answers.
pub const CACHE_VISIBILITY_HEADER: &str = "x-attic-cache-visibility";
/// Metadata longer than this, in bytes, goes into the preamble: proxies limit headers.
pub const MAX_HEADER_BYTES: usize = 4096;

/// Asks which of these store paths a cache lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetMissingPathsRequest {
    /// The cache.
    pub cache: CacheName,
    /// The hash parts of the store paths.
    pub store_path_hashes: Vec<StorePathHash>,
}

/// The store paths that a cache lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetMissingPathsResponse {
    /// Their hash parts, in the order of the request.
    pub missing_paths: Vec<StorePathHash>,
}

/// The metadata of an upload. Texts are checked by the server, which parses each into its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPathNarInfo {
    /// The cache to push to.
    pub cache: CacheName,
    /// The hash part of the store path.
    pub store_path_hash: String,
    /// The store path, absolute.
    pub store_path: String,
    /// Base names of the references.
    pub references: Vec<String>,
    /// The system; unused.
    #[serde(default)]
    pub system: Option<String>,
    /// Base name (or absolute path) of the deriver.
    #[serde(default)]
    pub deriver: Option<String>,
    /// Signatures, each `name:base64`.
    #[serde(default)]
    pub sigs: Vec<String>,
    /// The content address.
    #[serde(default)]
    pub ca: Option<String>,
    /// `sha256:` and the hash of the NAR, in any of Nix's spellings; Attic's client writes hex.
    pub nar_hash: String,
    /// The size of the NAR in bytes.
    pub nar_size: u64,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UploadPathResult {
    /// Whether bytes were stored.
    pub kind: UploadPathResultKind,
    /// The size of the NAR as stored, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    /// The share of the NAR that was there already, from 0 to 1.
    pub frac_deduplicated: Option<f64>,
}

/// Whether an upload stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadPathResultKind {
    /// The NAR was new, at least in part.
    Uploaded,
    /// The whole NAR was there already.
    Deduplicated,
}

/// The settings of a cache: everything optional, so that a change names only what it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheConfig {
    /// How to make the signing key (only sent to the server).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keypair: Option<KeypairConfig>,
    /// Where Nix substitutes from (only sent by the server).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substituter_endpoint: Option<String>,
    /// Where the API is (only sent by the server).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_endpoint: Option<String>,
    /// The public key, `name:base64` (only sent by the server).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Whether anybody may pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_public: Option<bool>,
    /// The store dir of the cache's paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_dir: Option<String>,
    /// Its priority among substituters; lower is asked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Names of keys whose paths clients need not push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_cache_key_names: Option<Vec<String>>,
    /// How long unused paths are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_period: Option<RetentionPeriod>,
}

/// How to make a cache's signing key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeypairConfig {
    /// The server makes one.
    Generate,
    /// This one: `name:base64` of 64 bytes.
    Keypair(String),
}

impl std::fmt::Debug for KeypairConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Generate => "Generate",
            Self::Keypair(_) => "Keypair(…)",
        })
    }
}

/// How long unused paths of a cache are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionPeriod {
    /// As the server's configuration says.
    Global,
    /// This many seconds; 0 is for ever.
    Period(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bodies as Attic's real client and server write them.
    #[test]
    fn bodies_are_byte_compatible() {
        let create = r#"{"keypair":"Generate","is_public":false,"store_dir":"/nix/store","priority":41,"upstream_cache_key_names":["cache.nixos.org-1"]}"#;
        let config: CacheConfig = serde_json::from_str(create).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), create);

        let patch = r#"{"retention_period":{"Period":2592000}}"#;
        let config: CacheConfig = serde_json::from_str(patch).unwrap();
        assert_eq!(config.retention_period, Some(RetentionPeriod::Period(2_592_000)));
        assert_eq!(serde_json::to_string(&config).unwrap(), patch);

        let done =
            UploadPathResult { kind: UploadPathResultKind::Deduplicated, file_size: None, frac_deduplicated: None };
        assert_eq!(serde_json::to_string(&done).unwrap(), r#"{"kind":"Deduplicated","frac_deduplicated":null}"#);
    }
}
