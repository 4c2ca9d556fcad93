//! `[flywheel.tokens]`: which tokens are good beside those that `[jwt]` says.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{HumanDuration, Secret};

/// `[flywheel.tokens]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Tokens {
    /// The name of the key of `[jwt.signing]`, which the tokens that it signs say as their `kid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Whether a token must be in the registry.
    pub require_registered: bool,
    /// How long the registry remembers a token that has ended.
    pub keep_ended: HumanDuration,
    /// Keys that tokens are checked with and not signed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_keys: Vec<OtherKey>,
}

/// `[[flywheel.tokens.other-keys]]`: a key that verifies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "OtherKeyFile")]
pub struct OtherKey {
    /// What tokens that it signed say as their `kid`, if they say one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The key.
    #[serde(flatten)]
    pub key: VerifyingKey,
}

/// What a token is checked with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum VerifyingKey {
    /// A shared secret, base64.
    #[serde(rename = "token-hs256-secret-base64")]
    Hs256Secret(Secret),
    /// An RSA public key, PEM in base64.
    #[serde(rename = "token-rs256-pubkey-base64")]
    Rs256PublicKey(Secret),
    /// A file with a shared secret, base64.
    #[serde(rename = "token-hs256-secret-file")]
    File(PathBuf),
}

/// A key as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct OtherKeyFile {
    key_id: Option<String>,
    token_hs256_secret_base64: Option<Secret>,
    token_rs256_pubkey_base64: Option<Secret>,
    token_hs256_secret_file: Option<PathBuf>,
}

impl TryFrom<OtherKeyFile> for OtherKey {
    type Error = &'static str;

    fn try_from(file: OtherKeyFile) -> Result<Self, &'static str> {
        let key = match (file.token_hs256_secret_base64, file.token_rs256_pubkey_base64, file.token_hs256_secret_file) {
            (Some(secret), None, None) => VerifyingKey::Hs256Secret(secret),
            (None, Some(key), None) => VerifyingKey::Rs256PublicKey(key),
            (None, None, Some(path)) => VerifyingKey::File(path),
            _ => {
                return Err("each of other-keys has one of token-hs256-secret-base64, token-rs256-pubkey-base64 and \
                            token-hs256-secret-file");
            }
        };
        Ok(Self { key_id: file.key_id, key })
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            key_id: None,
            require_registered: false,
            keep_ended: HumanDuration::from_secs(30 * 86400),
            other_keys: Vec::new(),
        }
    }
}
