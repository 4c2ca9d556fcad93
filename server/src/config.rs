//! The configuration: a server.toml with Attic's keys, the environment, the command line, and what is so without them.
//!
//! A [`Config`] is complete: whatever nobody has set has its default. Every section is one file here. Keys of our own stand
//! under `[flywheel]` and in `[storage.cache]`, all others are Attic's. Nothing below this module reads the environment.

mod anonymous;
mod audit;
mod chunking;
mod collection;
mod compression;
mod database;
mod environment;
mod error;
mod exchange;
mod file;
mod flywheel;
mod garbage_collection;
mod inspection;
mod jwt;
mod limits;
mod postgresql;
mod promotion;
mod read_cache;
mod s3;
mod storage;
mod tokens;
mod value;

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::Serialize;

pub use anonymous::Anonymous;
pub use audit::Audit;
pub use chunking::Chunking;
pub use collection::Collection;
pub use compression::Compression;
pub use database::{Database, DatabaseUrl};
pub use environment::Environment;
pub use error::{ConfigError, Unsupported, Warning};
pub use exchange::{ClaimPatterns, Exchange, TrustRule};
pub use flywheel::{Flywheel, LogFormat};
pub use garbage_collection::GarbageCollection;
pub use inspection::Inspection;
pub use jwt::{Jwt, Signing};
pub use limits::Limits;
pub use postgresql::Postgresql;
pub use promotion::Promotion;
pub use read_cache::ReadCache;
pub use s3::{S3Problem, S3Tuning};
pub use storage::{Credentials, S3, Storage};
pub use tokens::{OtherKey, Tokens, VerifyingKey};
pub use value::{ByteSize, Endpoint, HumanDuration, Secret};

use file::File;

/// The port of a server that is not told another.
const DEFAULT_PORT: u16 = 8080;

/// Everything that the server can be told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// Where it listens, plain HTTP.
    pub listen: SocketAddr,
    /// What the `Host` of a request may be; empty is anything.
    pub allowed_hosts: Vec<String>,
    /// The address of the API as clients reach it; made from each request when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_endpoint: Option<Endpoint>,
    /// The address that Nix substitutes from, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substituter_endpoint: Option<Endpoint>,
    /// Whether a deleted cache keeps its rows.
    pub soft_delete_caches: bool,
    /// Whether a client must send a NAR that the server has already.
    pub require_proof_of_possession: bool,
    /// The longest metadata before an uploaded NAR, in bytes.
    pub max_nar_info_size: u32,
    /// `[database]`
    pub database: Database,
    /// `[storage]`
    pub storage: Storage,
    /// `[chunking]`
    pub chunking: Chunking,
    /// `[compression]`
    pub compression: Compression,
    /// `[garbage-collection]`
    pub garbage_collection: GarbageCollection,
    /// `[jwt]`
    pub jwt: Jwt,
    /// `[flywheel]`: everything that Attic does not have.
    pub flywheel: Flywheel,
}

/// Where a configuration comes from. What the command line says goes before the environment, and that before the file.
#[derive(Debug, Default)]
pub struct Sources {
    /// `--config`
    pub file: Option<PathBuf>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
    /// The environment.
    pub environment: Environment,
}

/// A configuration, and what its author should know of it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Settings that do something else than they seem to.
    pub warnings: Vec<Warning>,
    /// Whether there was a server.toml at all, as a file or in the environment.
    pub is_configured: bool,
}

impl Config {
    /// Gathers the configuration. Reads the file and nothing else, writes nothing.
    ///
    /// # Errors
    /// If the file cannot be read, or it or the environment says something that makes no sense.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
        let environment = &sources.environment;
        let found = File::find(sources.file.as_deref(), environment)?;
        let is_configured = found.is_some();
        let (file, mut warnings) = found.unwrap_or_default();
        let data_dir = data_dir(sources, file.flywheel.data_dir.as_deref());
        // Asked for only where something needs it: a server that was given every place runs without a home.
        let in_data_dir = |name: &str| Ok(data_dir.as_ref().ok_or(ConfigError::NoDataDir)?.join(name));
        let storage = match file.storage {
            Some(storage) => storage,
            None => Storage::Local { path: in_data_dir("store")? },
        };
        let listen = sources.listen.or(file.listen);
        let listen = listen.unwrap_or(SocketAddr::from((Ipv6Addr::UNSPECIFIED, DEFAULT_PORT)));
        warnings.extend(file.flywheel.anonymous.warning(listen));
        let jwt = file.jwt.complete(environment, file.flywheel.token_secret_file.as_deref(), in_data_dir)?;
        let config = Self {
            listen,
            allowed_hosts: file.allowed_hosts,
            api_endpoint: file.api_endpoint,
            substituter_endpoint: file.substituter_endpoint,
            soft_delete_caches: file.soft_delete_caches,
            require_proof_of_possession: file.require_proof_of_possession,
            max_nar_info_size: file.max_nar_info_size,
            database: Database::complete(file.database, environment, in_data_dir)?,
            storage,
            chunking: file.chunking.complete(&mut warnings)?,
            compression: file.compression.complete(&mut warnings)?,
            garbage_collection: file.garbage_collection,
            flywheel: file.flywheel.complete(data_dir.clone(), &jwt.signing, sources.log_format),
            jwt,
        };
        Ok(Loaded { config, warnings, is_configured })
    }

    /// Checks that this build can run with the configuration.
    ///
    /// # Errors
    /// Names the first part that it cannot run with.
    pub fn validate(&self) -> Result<(), Unsupported> {
        match &self.storage {
            Storage::Local { .. } => Ok(()),
            Storage::S3(s3) => Ok(self.flywheel.s3.validate(s3)?),
        }
    }

    /// The configuration as a server.toml in which every key is set and every secret masked.
    #[must_use]
    pub fn effective(&self) -> String {
        // Every key of it is a text and every value one that TOML has.
        toml::to_string(self).unwrap_or_else(|e| format!("# the configuration cannot be shown: {e}\n"))
    }
}

/// The folder for everything that the server keeps, unless it is told a place of its own.
fn data_dir(sources: &Sources, in_file: Option<&Path>) -> Option<PathBuf> {
    let environment = &sources.environment;
    let told = || sources.data_dir.clone().or_else(|| environment.path("FLYWHEEL_DATA_DIR"));
    let of_user = || {
        let data = environment.path("XDG_DATA_HOME").filter(|p| p.is_absolute());
        data.or_else(|| environment.path("HOME").map(|home| home.join(".local/share")))
            .map(|d| d.join("flywheel-cache"))
    };
    told().or_else(|| in_file.map(Path::to_owned)).or_else(of_user)
}

#[cfg(test)]
mod tests;
