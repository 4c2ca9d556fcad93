//! Opening a bucket: waits for one that is away, and refuses one that would lose what is stored.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use s3::{EndpointStyle, ExpiryRule, Login, Observer, Options, S3Storage};
use storage::{LocalStorage, Storage};

use crate::{
    config::{self, Config, S3Tuning},
    metrics as names,
    storage_check::{self, Finding, Place},
};

/// The first wait for a bucket that is away; it doubles …
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// What all keys of ours begin with, behind the configured prefix.
pub(crate) const ROOTS: [&str; 2] = ["packs/", "records/"];

/// A lifecycle rule of the bucket would delete what is stored.
#[derive(Debug, thiserror::Error)]
#[error(
    "the lifecycle rule {:?} of the bucket {bucket} (prefix {:?}) {}: that is what is stored here", rule.id, rule.prefix, rule.action
)]
pub struct Expires {
    bucket: String,
    rule: ExpiryRule,
}

impl Expires {
    /// What to try.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        "take the rule away or give it another prefix; flywheel.s3.allow-expiry = true starts all the same"
    }
}

/// A client of the bucket. Asks nothing of it yet.
pub(super) async fn open(bucket: &config::S3, tuning: &S3Tuning) -> S3Storage {
    S3Storage::new(options(bucket, tuning)).await
}

/// The storage that the configuration names; a bucket that is away is waited for, however long.
///
/// # Errors
/// If it cannot be opened, or must not be used.
pub(super) async fn open_patiently(config: &Config) -> anyhow::Result<Arc<dyn Storage>> {
    let config::Storage::S3(settings) = &config.storage else { return super::open_storage(config).await };
    let bucket = open(settings, &config.flywheel.s3).await;
    let cannot = || format!("cannot store in the bucket {}", settings.bucket);
    let mut wait = FIRST_WAIT;
    while let Err(error) = bucket.check_access().await {
        if !error.is_transient() {
            return Err(error).with_context(cannot);
        }
        tracing::warn!(bucket = settings.bucket, %error, hint = error.hint(), seconds = wait.as_secs_f32(), "the bucket is away; trying again");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    if !config.flywheel.s3.allow_expiry {
        refuse_expiry(&bucket).await.with_context(cannot)?;
    }
    Ok(Arc::new(bucket))
}

/// Puts the storage that the configuration names to the proof; gives its name, and what was found.
///
/// # Errors
/// If it cannot even be asked.
pub async fn check_storage(config: &Config) -> anyhow::Result<(String, Vec<Finding>)> {
    let place = Place::new();
    let mut findings;
    let (name, storage): (String, Arc<dyn Storage>) = match &config.storage {
        config::Storage::Local { path } => {
            let folder = LocalStorage::open_beside(path).await;
            let folder = folder.with_context(|| format!("cannot store in {}", path.display()))?;
            findings = storage_check::check(&folder, &place).await;
            (format!("the folder {}", path.display()), Arc::new(folder))
        }
        config::Storage::S3(settings) => {
            // As small as parts may be: the proof is to take seconds, not the server's memory.
            let options = Options { part_size: 5 << 20, ..options(settings, &config.flywheel.s3) };
            let bucket = S3Storage::new(options).await;
            findings = storage_check::check(&bucket, &place).await;
            if findings.len() > 1 {
                findings.extend(storage_check::check_bucket(&bucket, &place).await);
            }
            let at = settings.endpoint.as_deref().unwrap_or("AWS");
            (format!("the bucket {} at {at}", settings.bucket), Arc::new(bucket))
        }
    };
    if findings.len() > 1 {
        findings.extend(storage_check::clean_up(&storage, &place).await);
    }
    Ok((name, findings))
}

async fn refuse_expiry(bucket: &S3Storage) -> anyhow::Result<()> {
    for root in ROOTS {
        match bucket.expiry_rules(root).await {
            Ok(Some(rules)) => {
                if let Some(rule) = rules.into_iter().next() {
                    return Err(Expires { bucket: bucket.options().bucket.clone(), rule }.into());
                }
            }
            Ok(None) => {
                tracing::debug!("the bucket does not tell its lifecycle rules");
                return Ok(());
            }
            // It answered a moment ago, so this is no reason not to start.
            Err(error) => tracing::warn!(%error, "the bucket's lifecycle rules could not be read"),
        }
    }
    Ok(())
}

/// How the bucket of a configuration is spoken to.
pub(crate) fn options(bucket: &config::S3, tuning: &S3Tuning) -> Options {
    let login = match (&bucket.credentials, &tuning.access_key_id_file, &tuning.secret_access_key_file) {
        (Some(keys), _, _) => {
            Login::Keys { id: keys.access_key_id.clone(), secret: keys.secret_access_key.expose().to_owned() }
        }
        (None, Some(id), Some(secret)) => Login::Files { id: id.clone(), secret: secret.clone() },
        (None, _, _) => Login::Chain,
    };
    let usual = Options::new(&bucket.bucket, &bucket.region, bucket.endpoint.clone());
    let bytes = |size: config::ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    Options {
        style: match tuning.path_style {
            Some(true) => EndpointStyle::Path,
            Some(false) => EndpointStyle::VirtualHost,
            None => usual.style,
        },
        prefix: tuning.prefix.clone(),
        login,
        part_size: bytes(tuning.part_size),
        upload_memory: bytes(tuning.upload_memory),
        max_requests: usize::from(tuning.max_requests.get()),
        timeout: tuning.timeout.0,
        attempts: u32::from(tuning.attempts.get()),
        observer: Observer::new(count),
        ..usual
    }
}

fn count(request: s3::Request) {
    let outcome = request.outcome.name();
    metrics::counter!(names::S3_REQUESTS, "operation" => request.operation, "outcome" => outcome).increment(1);
    metrics::histogram!(names::S3_REQUEST_DURATION, "operation" => request.operation).record(request.duration);
    metrics::counter!(names::S3_SENT_BYTES).increment(request.sent);
}
