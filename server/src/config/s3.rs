//! `[flywheel.s3]`: what Attic does not say about a bucket.

use std::{
    num::{NonZeroU8, NonZeroU16},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use storage::Key;

use super::{ByteSize, HumanDuration, S3};

/// What S3 takes as a part of an object.
const PART_SIZES: std::ops::RangeInclusive<u64> = 5 << 20..=1 << 30;

/// `[flywheel.s3]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct S3Tuning {
    /// What stands before every key in the bucket.
    pub prefix: String,
    /// Whether the bucket's name goes into the path instead of the host's name; unset, it does with an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// A file with the credentials' id …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id_file: Option<PathBuf>,
    /// … and one with their secret, in place of `[storage.credentials]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key_file: Option<PathBuf>,
    /// Objects that are longer are sent in parts of this size.
    pub part_size: ByteSize,
    /// The memory for objects that are being sent, all together.
    pub upload_memory: ByteSize,
    /// How many requests wait for their answers at a time.
    pub max_requests: NonZeroU16,
    /// How long an answer may take to begin.
    pub timeout: HumanDuration,
    /// How often a request is made before it is given up.
    pub attempts: NonZeroU8,
    /// Start although a lifecycle rule of the bucket would delete what is stored.
    pub allow_expiry: bool,
}

impl Default for S3Tuning {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            path_style: None,
            access_key_id_file: None,
            secret_access_key_file: None,
            part_size: ByteSize(32 << 20),
            upload_memory: ByteSize(128 << 20),
            max_requests: const { NonZeroU16::new(64).unwrap() },
            timeout: HumanDuration::from_secs(30),
            attempts: const { NonZeroU8::new(6).unwrap() },
            allow_expiry: false,
        }
    }
}

/// Why a bucket cannot be used as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3Problem {
    /// A prefix with characters that a key does not have, or one that others' lifecycle rules are for.
    #[error("flywheel.s3.prefix {prefix:?} cannot stand before keys: {reason}")]
    Prefix {
        /// As given.
        prefix: String,
        /// What is wrong.
        reason: storage::KeyError,
    },
    /// A size of parts that S3 does not take.
    #[error("flywheel.s3.part-size is {0}: S3 takes parts of 5 MiB and more, and 1 GiB is the most here")]
    PartSize(ByteSize),
    /// Less memory than for two parts.
    #[error("flywheel.s3.upload-memory is {0}, less than twice flywheel.s3.part-size")]
    UploadMemory(ByteSize),
    /// An id without its secret, or the other way round.
    #[error("flywheel.s3 has one of access-key-id-file and secret-access-key-file, and needs both or none")]
    HalfCredentials,
    /// Credentials in two places.
    #[error("the credentials are in [storage.credentials] and in files named under [flywheel.s3] too")]
    TwoCredentials,
    /// An endpoint that is no address.
    #[error("storage.endpoint {0:?} is no address")]
    Endpoint(String),
    /// A region without a name.
    #[error("storage.region is empty")]
    NoRegion,
    /// A bucket without a name.
    #[error("storage.bucket is empty")]
    NoBucket,
}

impl S3Problem {
    /// What to try.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Prefix { .. } => {
                "use letters, digits and ._- with slashes between, and not nar/ or chunks/ at the beginning"
            }
            Self::PartSize(_) => "32 MiB is a good size",
            Self::UploadMemory(_) => "128 MiB is a good size",
            Self::HalfCredentials | Self::TwoCredentials => "set [storage.credentials], or both files, or neither",
            Self::Endpoint(_) => "write http://host:port or https://host, without the bucket",
            Self::NoRegion => "services in one's own house mostly take \"us-east-1\"; Garage says it in its s3_region",
            Self::NoBucket => "set it to the name of a bucket that is there",
        }
    }
}

impl S3Tuning {
    /// Whether a bucket can be used so.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn validate(&self, bucket: &S3) -> Result<(), S3Problem> {
        if bucket.region.is_empty() {
            return Err(S3Problem::NoRegion);
        }
        if bucket.bucket.is_empty() {
            return Err(S3Problem::NoBucket);
        }
        if let Some(endpoint) = &bucket.endpoint {
            let url = url::Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            if url.is_none_or(|url| !url.has_host()) {
                return Err(S3Problem::Endpoint(endpoint.clone()));
            }
        }
        let prefix = self.prefix.trim_matches('/');
        if !prefix.is_empty() {
            let made: Result<Key, _> = prefix.parse();
            made.map_err(|reason| S3Problem::Prefix { prefix: self.prefix.clone(), reason })?;
        }
        if !PART_SIZES.contains(&self.part_size.0) {
            return Err(S3Problem::PartSize(self.part_size));
        }
        if self.upload_memory.0 < 2 * self.part_size.0 {
            return Err(S3Problem::UploadMemory(self.upload_memory));
        }
        match (&self.access_key_id_file, &self.secret_access_key_file, &bucket.credentials) {
            (Some(_), Some(_), None) | (None, None, _) => Ok(()),
            (Some(_), Some(_), Some(_)) => Err(S3Problem::TwoCredentials),
            (Some(_), None, _) | (None, Some(_), _) => Err(S3Problem::HalfCredentials),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ReadCache;

    fn problem(toml: &str) -> Option<S3Problem> {
        let tuning: S3Tuning = toml::from_str(toml).unwrap();
        let credentials = None;
        let bucket = S3 {
            region: "r".to_owned(),
            bucket: "b".to_owned(),
            endpoint: None,
            credentials,
            cache: ReadCache::default(),
        };
        tuning.validate(&bucket).err()
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert_eq!(problem(""), None);
        assert_eq!(problem("prefix = \"/a/b/\"\npath-style = true"), None);
        assert_eq!(problem("access-key-id-file = \"/a\"\nsecret-access-key-file = \"/b\""), None);
        assert!(matches!(problem("prefix = \"nar\""), Some(S3Problem::Prefix { .. })));
        assert!(matches!(problem("prefix = \"a b\""), Some(S3Problem::Prefix { .. })));
        assert!(matches!(problem("part-size = \"1 MiB\""), Some(S3Problem::PartSize(_))));
        assert!(matches!(problem("part-size = \"100 MiB\""), Some(S3Problem::UploadMemory(_))));
        assert!(matches!(problem("access-key-id-file = \"/a\""), Some(S3Problem::HalfCredentials)));
        let endpoint = Some("garage:3900".to_owned());
        let bucket = S3 {
            region: "r".to_owned(),
            bucket: "b".to_owned(),
            endpoint,
            credentials: None,
            cache: ReadCache::default(),
        };
        assert!(matches!(S3Tuning::default().validate(&bucket), Err(S3Problem::Endpoint(_))));
    }
}
