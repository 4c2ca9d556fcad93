//! A server.toml as it is written, before anything is completed.

use std::{net::SocketAddr, path::Path};

use data_encoding::BASE64;
use serde::Deserialize;

use super::{
    ConfigError, Endpoint, Environment, GarbageCollection, Secret, Storage, Warning, chunking::ChunkingFile,
    compression::CompressionFile, database::DatabaseFile, flywheel::FlywheelFile, jwt::JwtFile,
};

/// The variable that holds a whole server.toml.
const VARIABLE: &str = "ATTIC_SERVER_CONFIG_BASE64";

/// A file, and what its author should know of it.
type Parsed = (File, Vec<Warning>);

/// A server.toml. Every key may be absent, none may be unknown.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Option<SocketAddr>,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) api_endpoint: Option<Endpoint>,
    pub(super) substituter_endpoint: Option<Endpoint>,
    pub(super) soft_delete_caches: bool,
    pub(super) require_proof_of_possession: bool,
    pub(super) max_nar_info_size: u32,
    pub(super) database: DatabaseFile,
    pub(super) storage: Option<Storage>,
    pub(super) chunking: ChunkingFile,
    pub(super) compression: CompressionFile,
    pub(super) garbage_collection: GarbageCollection,
    pub(super) jwt: JwtFile,
    pub(super) flywheel: FlywheelFile,
    /// Where early versions of Attic had it.
    token_hs256_secret_base64: Option<Secret>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: None,
            allowed_hosts: Vec::new(),
            api_endpoint: None,
            substituter_endpoint: None,
            soft_delete_caches: false,
            require_proof_of_possession: true,
            max_nar_info_size: 1 << 20,
            database: DatabaseFile::default(),
            storage: None,
            chunking: ChunkingFile::default(),
            compression: CompressionFile::default(),
            garbage_collection: GarbageCollection::default(),
            jwt: JwtFile::default(),
            flywheel: FlywheelFile::default(),
            token_hs256_secret_base64: None,
        }
    }
}

impl File {
    /// The file of that path, else the one in the environment.
    pub(super) fn find(path: Option<&Path>, environment: &Environment) -> Result<Option<Parsed>, ConfigError> {
        if let Some(path) = path {
            let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
            let text = std::fs::read_to_string(path).map_err(unreadable)?;
            return Self::parse(&text, &path.display().to_string()).map(Some);
        }
        match environment.text(VARIABLE)? {
            None => Ok(None),
            Some(base64) => {
                let bytes = BASE64.decode(base64.trim().as_bytes()).ok();
                let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                Self::parse(&text.ok_or(ConfigError::VariableNotBase64 { name: VARIABLE })?, VARIABLE).map(Some)
            }
        }
    }

    fn parse(text: &str, origin: &str) -> Result<Parsed, ConfigError> {
        let mut file: Self = toml::from_str(text).map_err(|e| malformed(text, origin, &e))?;
        let mut warnings = Vec::new();
        if let Some(secret) = file.token_hs256_secret_base64.take() {
            warnings.push(Warning::OldSecretKey);
            file.jwt.signing.token_hs256_secret_base64.get_or_insert(secret);
        }
        Ok((file, warnings))
    }
}

/// The error with its line and key, but without the line's text: that may be a secret.
fn malformed(text: &str, origin: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count() + 1);
    let key = line.and_then(|line| text.lines().nth(line - 1)).and_then(|line| line.split_once('='));
    let key = key.map(|(key, _)| key.trim().to_owned()).filter(|key| !error.message().contains(key.as_str()));
    ConfigError::Malformed { origin: origin.to_owned(), line, key, message: error.message().to_owned() }
}
