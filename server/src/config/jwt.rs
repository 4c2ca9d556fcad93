//! `[jwt]`: which tokens are good.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConfigError, Environment, Secret};

/// The keys of `[jwt.signing]`.
pub(super) const KEYS: [&str; 3] =
    ["token-hs256-secret-base64", "token-rs256-secret-base64", "token-rs256-pubkey-base64"];

/// The variables that go before `[jwt.signing]`, in the order of [`KEYS`].
const VARIABLES: [&str; 3] = [
    "ATTIC_SERVER_TOKEN_HS256_SECRET_BASE64",
    "ATTIC_SERVER_TOKEN_RS256_SECRET_BASE64",
    "ATTIC_SERVER_TOKEN_RS256_PUBKEY_BASE64",
];

/// The file in the data folder that holds the secret of a server that was not given one.
const SECRET_FILE: &str = "token-secret";

/// `[jwt]`
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Jwt {
    /// What a token's `iss` must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_bound_issuer: Option<String>,
    /// What a token's `aud` must have one of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_bound_audiences: Option<Vec<String>>,
    /// `[jwt.signing]`; a file stands under `[flywheel]`, since Attic has no such key.
    #[serde(skip_serializing_if = "Signing::is_file")]
    pub signing: Signing,
}

/// How tokens are signed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Signing {
    /// With a shared secret, base64.
    #[serde(rename = "token-hs256-secret-base64")]
    Hs256Secret(Secret),
    /// With an RSA key, PEM in base64.
    #[serde(rename = "token-rs256-secret-base64")]
    Rs256Secret(Secret),
    /// By somebody else; this is the RSA public key, PEM in base64.
    #[serde(rename = "token-rs256-pubkey-base64")]
    Rs256PublicKey(Secret),
    /// With a shared secret, base64, in a file that an operator has made.
    File(PathBuf),
    /// With a shared secret, base64, in a file that the server makes when it is first needed.
    OwnFile(PathBuf),
}

impl Signing {
    /// The file that the key is in.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Hs256Secret(_) | Self::Rs256Secret(_) | Self::Rs256PublicKey(_) => None,
            Self::File(path) | Self::OwnFile(path) => Some(path),
        }
    }

    fn is_file(&self) -> bool {
        self.file().is_some()
    }
}

/// `[jwt]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct JwtFile {
    token_bound_issuer: Option<String>,
    token_bound_audiences: Option<Vec<String>>,
    pub(super) signing: SigningFile,
}

/// `[jwt.signing]` as it is written. Empty is good: the key may be in the environment.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct SigningFile {
    pub(super) token_hs256_secret_base64: Option<Secret>,
    token_rs256_secret_base64: Option<Secret>,
    token_rs256_pubkey_base64: Option<Secret>,
}

impl JwtFile {
    /// The environment's key, else the file's, else the secret file's, else one of the server's own.
    pub(super) fn complete(
        self,
        environment: &Environment,
        secret_file: Option<&Path>,
        in_data_dir: impl FnOnce(&str) -> Result<PathBuf, ConfigError>,
    ) -> Result<Jwt, ConfigError> {
        let [hs256, rs256, rs256_public] = VARIABLES.map(|name| environment.text(name));
        let of_environment = [hs256?.map(Secret::from), rs256?.map(Secret::from), rs256_public?.map(Secret::from)];
        let file = self.signing;
        let of_file = [file.token_hs256_secret_base64, file.token_rs256_secret_base64, file.token_rs256_pubkey_base64];
        let signing = match (one_key(of_environment)?, one_key(of_file)?, secret_file) {
            (Some(key), _, _) | (None, Some(key), _) => key,
            (None, None, Some(path)) => Signing::File(path.to_owned()),
            (None, None, None) => Signing::OwnFile(in_data_dir(SECRET_FILE)?),
        };
        let audiences = self.token_bound_audiences.filter(|a| !a.is_empty());
        Ok(Jwt { token_bound_issuer: self.token_bound_issuer, token_bound_audiences: audiences, signing })
    }
}

/// The one key that is set.
fn one_key(keys: [Option<Secret>; 3]) -> Result<Option<Signing>, ConfigError> {
    match keys {
        [None, None, None] => Ok(None),
        [Some(secret), None, None] => Ok(Some(Signing::Hs256Secret(secret))),
        // A public key beside its private one says nothing new.
        [None, Some(key), _] => Ok(Some(Signing::Rs256Secret(key))),
        [None, None, Some(key)] => Ok(Some(Signing::Rs256PublicKey(key))),
        [Some(_), ..] => Err(ConfigError::SeveralSigningKeys),
    }
}
