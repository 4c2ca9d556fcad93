//! `[flywheel]`: everything that Attic does not have.

use std::path::{Path, PathBuf};

use protocol::CacheName;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    Anonymous, Audit, ByteSize, Collection, Exchange, Inspection, Limits, Postgresql, Promotion, S3Tuning, Signing,
    Tokens,
};

/// `[flywheel]`
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flywheel {
    /// The folder of whatever has no place of its own; not known only if everything has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// The file that the secret for tokens is in, when [`super::Signing`] says that it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret_file: Option<PathBuf>,
    /// The cache that is served at the root of the server as well; `""` is none.
    #[serde(serialize_with = "name_or_nothing")]
    pub default_cache: Option<CacheName>,
    /// How the log is written.
    pub log_format: LogFormat,
    /// How many bytes of narinfos are kept in memory.
    pub narinfo_cache_size: ByteSize,
    /// Whether the server takes nothing in.
    pub read_only: bool,
    /// `[flywheel.inspection]`
    pub inspection: Inspection,
    /// `[flywheel.limits]`
    pub limits: Limits,
    /// `[flywheel.postgresql]`
    pub postgresql: Postgresql,
    /// `[flywheel.tokens]`
    pub tokens: Tokens,
    /// `[flywheel.audit]`
    pub audit: Audit,
    /// `[flywheel.anonymous]`
    #[serde(skip_serializing_if = "Anonymous::is_empty")]
    pub anonymous: Anonymous,
    /// `[flywheel.exchange]`
    #[serde(skip_serializing_if = "Exchange::is_empty")]
    pub exchange: Exchange,
    /// `[flywheel.collection]`
    pub collection: Collection,
    /// `[flywheel.promotion]`
    pub promotion: Promotion,
    /// `[flywheel.s3]`
    pub s3: S3Tuning,
}

/// How the log is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text per event.
    #[default]
    Text,
    /// A JSON object per event.
    Json,
}

/// `[flywheel]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct FlywheelFile {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) token_secret_file: Option<PathBuf>,
    #[serde(deserialize_with = "nothing_or_name")]
    default_cache: Option<CacheName>,
    log_format: LogFormat,
    narinfo_cache_size: ByteSize,
    inspection: Inspection,
    read_only: bool,
    limits: Limits,
    postgresql: Postgresql,
    tokens: Tokens,
    audit: Audit,
    pub(super) anonymous: Anonymous,
    exchange: Exchange,
    collection: Collection,
    promotion: Promotion,
    s3: S3Tuning,
}

impl Default for FlywheelFile {
    fn default() -> Self {
        Self {
            data_dir: None,
            token_secret_file: None,
            default_cache: "main".parse().ok(),
            log_format: LogFormat::default(),
            narinfo_cache_size: ByteSize(32 << 20),
            inspection: Inspection::default(),
            read_only: false,
            limits: Limits::default(),
            postgresql: Postgresql::default(),
            tokens: Tokens::default(),
            audit: Audit::default(),
            anonymous: Anonymous::default(),
            exchange: Exchange::default(),
            collection: Collection::default(),
            promotion: Promotion::default(),
            s3: S3Tuning::default(),
        }
    }
}

impl FlywheelFile {
    pub(super) fn complete(
        self,
        data_dir: Option<PathBuf>,
        signing: &Signing,
        log_format: Option<LogFormat>,
    ) -> Flywheel {
        Flywheel {
            data_dir,
            token_secret_file: signing.file().map(Path::to_owned),
            default_cache: self.default_cache,
            log_format: log_format.unwrap_or(self.log_format),
            narinfo_cache_size: self.narinfo_cache_size,
            inspection: self.inspection,
            read_only: self.read_only,
            limits: self.limits,
            postgresql: self.postgresql,
            tokens: self.tokens,
            audit: self.audit,
            anonymous: self.anonymous,
            exchange: self.exchange,
            collection: self.collection,
            promotion: self.promotion,
            s3: self.s3,
        }
    }
}

#[expect(clippy::ref_option, reason = "the shape that serde calls")]
fn name_or_nothing<S: serde::Serializer>(name: &Option<CacheName>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_ref().map_or("", CacheName::as_str))
}

fn nothing_or_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<CacheName>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" => Ok(None),
        name => name.parse().map(Some).map_err(serde::de::Error::custom),
    }
}
