//! What can be wrong with a configuration.

use std::{io, path::PathBuf};

use protocol::ChunkSizesError;

/// A configuration that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The text is not TOML, has a key that there is not, or a value that does not fit its key.
    ///
    /// The line itself is not shown: it may hold a secret.
    #[error("{origin}{}: {}{message}", line.map(|l| format!(", line {l}")).unwrap_or_default(), key.as_ref().map(|k| format!("{k}: ")).unwrap_or_default())]
    Malformed {
        /// The file or variable.
        origin: String,
        /// Where in it, from 1.
        line: Option<usize>,
        /// The key on that line.
        key: Option<String>,
        /// What is wrong.
        message: String,
    },
    /// A variable is not UTF-8.
    #[error("the environment variable {name} is not UTF-8")]
    VariableNotText {
        /// Which variable.
        name: &'static str,
    },
    /// `ATTIC_SERVER_CONFIG_BASE64` is not base64 of a text.
    #[error("the environment variable {name} is not base64 of a UTF-8 text")]
    VariableNotBase64 {
        /// Which variable.
        name: &'static str,
    },
    /// A database URL that names no database that there could be.
    #[error("{origin}: {source}")]
    DatabaseUrl {
        /// The key or variable.
        origin: &'static str,
        /// What is wrong.
        source: super::database::DatabaseUrlError,
    },
    /// The chunk sizes contradict each other.
    #[error("[chunking]: {0}")]
    Chunking(ChunkSizesError),
    /// A level that zstd does not have.
    #[error("compression.level is {0}, zstd has levels 1 to 22")]
    CompressionLevel(i32),
    /// Two ways of signing at once.
    #[error("[jwt.signing] has more than one key: set one of {}", super::jwt::KEYS.join(", "))]
    SeveralSigningKeys,
    /// Nothing says where to keep the data.
    #[error("there is no place for the data: neither --data-dir nor FLYWHEEL_DATA_DIR nor HOME is set")]
    NoDataDir,
}

/// A part of a configuration that this build cannot run with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// The bucket cannot be used as it is described.
    #[error(transparent)]
    S3(#[from] super::S3Problem),
}

impl Unsupported {
    /// What to set instead.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::S3(problem) => problem.hint(),
        }
    }
}

/// A setting that does something else than it seems to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Chunks are compressed otherwise than asked.
    #[error("compression.type {0:?} is accepted, but chunks are always compressed with zstd")]
    CompressionType(String),
    /// In Attic 0 turns chunking off.
    #[error("chunking.nar-size-threshold = 0 does not turn chunking off: every NAR is stored in chunks")]
    NoThreshold,
    /// The threshold is larger than a chunk can be.
    #[error("chunking.nar-size-threshold is {given}, more than max-size: {used} is used")]
    Threshold {
        /// As given.
        given: u32,
        /// What is used instead.
        used: u32,
    },
    /// Sizes are even.
    #[error("chunking.{key} is {given}, an odd number: {used} is used")]
    OddSize {
        /// Which key.
        key: &'static str,
        /// As given.
        given: u32,
        /// What is used instead.
        used: u32,
    },
    /// Everybody who can connect may change something.
    #[error(
        "EVERYBODY who can connect to {listen} may change the caches {patterns}, without any token, as [flywheel.anonymous] says"
    )]
    AnonymousChanges {
        /// Which caches.
        patterns: String,
        /// Where others connect.
        listen: std::net::SocketAddr,
    },
    /// A key of early versions of Attic.
    #[error("token-hs256-secret-base64 has moved: write it under [jwt.signing]")]
    OldSecretKey,
}
