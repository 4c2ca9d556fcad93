//! What an S3 storage is told.

use std::time::Duration;

use crate::{Login, Observer};

/// The smallest part that S3 takes, but for the last one of an object, in bytes.
pub(crate) const MIN_PART_BYTES: usize = 5 << 20;

/// How a bucket is named in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointStyle {
    /// `http://service/bucket/key`: what services in one's own house understand.
    Path,
    /// `https://bucket.service/key`: AWS.
    VirtualHost,
}

/// Which bucket, and how it is spoken to.
#[derive(Clone)]
pub struct Options {
    /// The bucket.
    pub bucket: String,
    /// The region's name; part of every signature.
    pub region: String,
    /// The address of the service, if it is not AWS; `http://` is plain HTTP.
    pub endpoint: Option<String>,
    /// How the bucket is named.
    pub style: EndpointStyle,
    /// What stands before every key, without slashes at its ends; empty is nothing.
    pub prefix: String,
    /// Where credentials come from.
    pub login: Login,
    /// Objects longer than this are sent in parts of this size, in bytes.
    pub part_size: usize,
    /// How many bytes of parts may be held in memory, over all objects that are being written.
    pub upload_memory: usize,
    /// How many requests may wait for their answers at a time.
    pub max_requests: usize,
    /// How long a request may take until its answer begins; what a long body takes comes on top.
    pub timeout: Duration,
    /// How often a request is made before it is given up.
    pub attempts: u32,
    /// Told of every request.
    pub observer: Observer,
}

impl Options {
    /// The options of a bucket on AWS, or at `endpoint`, with everything else as it is by default.
    #[must_use]
    pub fn new(bucket: impl Into<String>, region: impl Into<String>, endpoint: Option<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: region.into(),
            style: if endpoint.is_some() { EndpointStyle::Path } else { EndpointStyle::VirtualHost },
            endpoint,
            prefix: String::new(),
            login: Login::Chain,
            part_size: 32 << 20,
            upload_memory: 128 << 20,
            max_requests: 64,
            timeout: Duration::from_secs(30),
            attempts: 6,
            observer: Observer::default(),
        }
    }

    /// What stands before every key, with its slash.
    pub(crate) fn key_prefix(&self) -> String {
        let prefix = self.prefix.trim_matches('/');
        if prefix.is_empty() { String::new() } else { format!("{prefix}/") }
    }
}
