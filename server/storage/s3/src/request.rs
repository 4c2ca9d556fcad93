//! One request: bounded, timed, counted, and made again if it may succeed then.

use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use rand::RngExt;

use crate::{S3Error, bucket::S3Storage, error::Asked};

/// The longest wait before the second attempt; it doubles with each further one …
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A body may take this much longer for each MiB of it: the slowest line that is worth waiting for.
const PATIENCE_PER_MIB: Duration = Duration::from_secs(2);

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As asked, or with the answer that there is no such object.
    Done,
    /// It is made again.
    Repeated,
    /// With an error.
    Failed,
}

impl Outcome {
    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Repeated => "repeated",
            Self::Failed => "failed",
        }
    }
}

/// A request that was made.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// S3's name for what was asked.
    pub operation: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// Until the answer began.
    pub duration: Duration,
    /// How many bytes were sent with it.
    pub sent: u64,
}

/// Whoever wants to know of requests.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Request) + Send + Sync>);

impl Observer {
    /// Calls `told` after each request.
    pub fn new(told: impl Fn(Request) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// How long to wait before the attempt after `attempt`, the first being 1: anything up to a limit that doubles.
pub(crate) fn wait_after(attempt: u32) -> Duration {
    let limit = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_WAIT);
    // Everybody who was sent away at the same moment comes back at another one.
    rand::rng().random_range(limit / 4..=limit)
}

impl S3Storage {
    /// Makes a request with `sent` bytes of body, as often as it takes and the options allow.
    pub(crate) async fn request<T, E, F>(
        &self,
        operation: &'static str,
        sent: usize,
        make: impl Fn() -> F,
    ) -> Result<T, S3Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.request_until(operation, sent, make, |_| true).await
    }

    /// The same; an answer that is not `whole`, though it says that all went well, is no answer.
    pub(crate) async fn request_until<T, E, F>(
        &self,
        operation: &'static str,
        sent: usize,
        make: impl Fn() -> F,
        whole: impl Fn(&T) -> bool,
    ) -> Result<T, S3Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let attempts = self.options().attempts.max(1);
        let mut attempt = 1;
        loop {
            let error = match self.attempt(operation, sent, attempt < attempts, &make).await {
                Ok(answer) if whole(&answer) => return Ok(answer),
                Ok(_) => S3Error::CutOff { operation },
                Err(error) => error,
            };
            if !error.is_transient() || attempt == attempts {
                return Err(error);
            }
            tracing::debug!(s3.operation = operation, attempt, %error, "a request to the bucket is made again");
            tokio::time::sleep(wait_after(attempt)).await;
            attempt += 1;
        }
    }

    /// Makes a request once.
    pub(crate) async fn attempt<T, E, F>(
        &self,
        operation: &'static str,
        sent: usize,
        is_repeated: bool,
        make: impl Fn() -> F,
    ) -> Result<T, S3Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let options = self.options();
        let asked = Asked { operation, bucket: &options.bucket, region: &options.region };
        let mebibytes = u32::try_from(sent >> 20).unwrap_or(u32::MAX);
        let timeout = options.timeout + PATIENCE_PER_MIB.saturating_mul(mebibytes);
        let _permit = self.permits().acquire().await.map_err(|_| S3Error::Connection("closed".to_owned()))?;
        let begun = Instant::now();
        let answer = match tokio::time::timeout(timeout, make()).await {
            Ok(answer) => answer.map_err(|error| asked.failure(error)),
            Err(_) => Err(S3Error::Timeout(timeout)),
        };
        let outcome = match &answer {
            Ok(_) | Err(S3Error::NoSuchKey) => Outcome::Done,
            Err(error) if error.is_transient() && is_repeated => Outcome::Repeated,
            Err(_) => Outcome::Failed,
        };
        (options.observer.0)(Request { operation, outcome, duration: begun.elapsed(), sent: sent as u64 });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit_and_differ() {
        for attempt in 1..40 {
            let waits: Vec<Duration> = (0..20).map(|_| wait_after(attempt)).collect();
            let limit = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_WAIT);
            assert!(waits.iter().all(|wait| (limit / 4..=limit).contains(wait)), "{attempt}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{attempt}: no jitter");
        }
    }
}
