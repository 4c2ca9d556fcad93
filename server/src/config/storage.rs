//! `[storage]`: where the packs are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ReadCache, Secret};

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Storage {
    /// A folder.
    Local {
        /// Which.
        path: PathBuf,
    },
    /// A bucket.
    S3(S3),
}

/// A bucket of an S3 service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// The region's name.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// The address of the service, if it is not AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The credentials, if they are not in the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// What is kept of it on this machine.
    #[serde(default, skip_serializing_if = "ReadCache::is_off")]
    pub cache: ReadCache,
}

/// `[storage.credentials]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Whose key it is.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
}
