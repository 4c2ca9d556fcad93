//! The bucket: the SDK's client, and what all requests share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::{
    Client,
    config::{
        RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use storage::Key;
use tokio::sync::Semaphore;

use crate::{EndpointStyle, Login, Options, S3Error, credentials::FileCredentials, options::MIN_PART_BYTES};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer to a ping counts, and how long it may take.
const PING_COUNTS: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A store in a bucket, or under a prefix of one. Clones share everything; any number of processes may use one bucket.
#[derive(Clone)]
pub struct S3Storage(Arc<Inner>);

struct Inner {
    client: Client,
    options: Options,
    key_prefix: String,
    /// One for each request that waits for its answer.
    permits: Semaphore,
    /// Half of the memory for uploads, in bytes: parts under way.
    sending: Arc<Semaphore>,
    /// How many objects are being written in pieces.
    writers: AtomicUsize,
    /// When the bucket last answered a ping.
    answered: Mutex<Option<Instant>>,
    pinging: tokio::sync::Mutex<()>,
}

impl S3Storage {
    /// A store in the bucket that the options name. Asks nothing of the bucket yet: see [`S3Storage::check_access`].
    pub async fn new(options: Options) -> Self {
        let client = client(&options).await;
        let sending = (options.upload_memory / 2).max(options.part_size).max(MIN_PART_BYTES);
        Self(Arc::new(Inner {
            client,
            key_prefix: options.key_prefix(),
            permits: Semaphore::new(options.max_requests.clamp(1, Semaphore::MAX_PERMITS)),
            sending: Arc::new(Semaphore::new(sending.min(u32::MAX as usize))),
            writers: AtomicUsize::new(0),
            answered: Mutex::new(None),
            pinging: tokio::sync::Mutex::new(()),
            options,
        }))
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn permits(&self) -> &Semaphore {
        &self.0.permits
    }

    pub(crate) fn sending(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.sending)
    }

    /// What `key` is called in the bucket.
    pub(crate) fn object(&self, key: &Key) -> String {
        format!("{}{key}", self.0.key_prefix)
    }

    /// What stands before every key, with its slash.
    pub(crate) fn key_prefix(&self) -> &str {
        &self.0.key_prefix
    }

    /// Takes part in the sharing of memory among writers, and tells how long the parts of this one are.
    pub(crate) fn join_writers(&self) -> usize {
        let writers = self.0.writers.fetch_add(1, Ordering::Relaxed) + 1;
        let options = &self.0.options;
        (options.upload_memory / 2 / writers).clamp(MIN_PART_BYTES, options.part_size.max(MIN_PART_BYTES))
    }

    pub(crate) fn leave_writers(&self) {
        self.0.writers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the bucket is there and may be asked.
    ///
    /// # Errors
    /// If it is not, after one attempt.
    pub async fn check_access(&self) -> Result<(), S3Error> {
        let ask =
            self.attempt("HeadBucket", 0, false, || self.client().head_bucket().bucket(&self.0.options.bucket).send());
        let answer = tokio::time::timeout(PING_TIMEOUT, ask).await;
        answer.map_err(|_| S3Error::Timeout(PING_TIMEOUT))?.map(drop)
    }

    /// The same, with as many attempts as any request has.
    ///
    /// # Errors
    /// If it is not.
    pub async fn check_access_patiently(&self) -> Result<(), S3Error> {
        let ask = || self.client().head_bucket().bucket(&self.0.options.bucket).send();
        self.request("HeadBucket", 0, ask).await.map(drop)
    }

    /// The same, but an answer counts for a second, and whoever asks meanwhile shares it.
    pub(crate) async fn ping_bucket(&self) -> Result<(), S3Error> {
        let has_answered = || {
            let answered = *self.0.answered.lock().unwrap_or_else(PoisonError::into_inner);
            answered.is_some_and(|at| at.elapsed() < PING_COUNTS)
        };
        if has_answered() {
            return Ok(());
        }
        let _one_at_a_time = self.0.pinging.lock().await;
        if has_answered() {
            return Ok(());
        }
        self.check_access().await?;
        *self.0.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }
}

impl fmt::Debug for S3Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { bucket, endpoint, .. } = &self.0.options;
        f.debug_struct("S3Storage").field("bucket", bucket).field("endpoint", endpoint).finish_non_exhaustive()
    }
}

async fn client(options: &Options) -> Client {
    let defaults = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(options.region.clone()))
        // Made again by `request`, which also counts, and knows what must not be.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
        // A reader of ours that is slow is no reason to break off; a service that stands still is timed in `read`.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let defaults = match &options.login {
        Login::Chain => defaults,
        Login::Keys { id, secret } => defaults.credentials_provider(Login::keys(id, secret)),
        Login::Files { id, secret } => {
            defaults.credentials_provider(FileCredentials { id: id.clone(), secret: secret.clone() })
        }
    };
    let shared = defaults.load().await;
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(options.style == EndpointStyle::Path)
        // Bodies are signed with their SHA-256. More checksums are sent in a form that not every service understands.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &options.endpoint {
        config = config.endpoint_url(endpoint.trim_end_matches('/'));
    }
    Client::from_conf(config.build())
}
