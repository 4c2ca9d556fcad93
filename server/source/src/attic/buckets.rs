//! The buckets that chunks are in.

use std::{collections::BTreeMap, io, sync::Arc};

use futures::{StreamExt, TryStreamExt};
use s3::{Options, S3Storage};
use storage::Key;
use tokio::sync::Mutex;

use crate::{Body, Error, Result};

/// How many buckets a deployment may have been in: rows name them, and each is a client with connections.
const MAX_BUCKETS: usize = 16;

/// The bucket of a deployment, and those that it was in before: rows keep the bucket and the region that they were written in.
///
/// All are asked for at one address and with the same credentials, as Attic does.
#[derive(Debug, Clone)]
pub struct AtticBuckets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    configured: S3Storage,
    /// By region and name.
    known: Mutex<BTreeMap<(String, String), S3Storage>>,
}

impl AtticBuckets {
    /// Opens the bucket that the options name.
    ///
    /// # Errors
    /// If it is not there, or may not be read.
    pub async fn open(options: Options) -> Result<Self> {
        let of = (options.region.clone(), options.bucket.clone());
        let configured = S3Storage::new(options).await;
        let reached = configured.check_access_patiently().await;
        reached.map_err(|error| Error::Bucket { bucket: of.1.clone(), source: error.into() })?;
        let known = Mutex::new(BTreeMap::from([(of, configured.clone())]));
        Ok(Self(Arc::new(Inner { configured, known })))
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// If it is not there, or its bucket cannot be read.
    pub(super) async fn read(&self, region: &str, bucket: &str, key: &str) -> Result<Body> {
        let row = |what| Error::Row { table: "chunk", what };
        let key: Key = key.parse().map_err(|error| row(format!("{key:?} is no key of a chunk: {error}")))?;
        let Some(storage) = self.bucket(region, bucket).await else {
            return Err(row(format!(
                "the bucket {bucket} is one more than the {MAX_BUCKETS} that a deployment may have"
            )));
        };
        let name = bucket.to_owned();
        let failed = move |source| Error::Bucket { bucket: name.clone(), source };
        match storage.stream_object(&key).await {
            Ok(pieces) => Ok(pieces.map_err(move |source| io::Error::other(failed(source))).boxed()),
            Err(storage::Error::NotFound { key }) => Err(Error::Gone(format!("{key} in the bucket {bucket}"))),
            Err(source) => Err(failed(source)),
        }
    }

    async fn bucket(&self, region: &str, bucket: &str) -> Option<S3Storage> {
        let mut known = self.0.known.lock().await;
        let of = (region.to_owned(), bucket.to_owned());
        if let Some(storage) = known.get(&of) {
            return Some(storage.clone());
        }
        if known.len() >= MAX_BUCKETS {
            return None;
        }
        let options = Options { region: of.0.clone(), bucket: of.1.clone(), ..self.0.configured.options().clone() };
        let storage = S3Storage::new(options).await;
        known.insert(of, storage.clone());
        Some(storage)
    }
}

#[cfg(test)]
mod tests {
    use bucket::{ACCESS_KEY_ID, BUCKET, Fault, REGION, SECRET_ACCESS_KEY, Service};
    use bytes::Bytes;
    use s3::Login;

    use super::*;
    use crate::attic::{AtticFiles, RemoteFile};

    fn options(service: &Service) -> Options {
        let login = Login::Keys { id: ACCESS_KEY_ID.to_owned(), secret: SECRET_ACCESS_KEY.to_owned() };
        Options { login, ..Options::new(BUCKET, REGION, Some(service.endpoint())) }
    }

    async fn read(files: &AtticFiles, bucket: &str, key: &str) -> Result<Vec<u8>> {
        let (region, bucket, key) = (REGION.to_owned(), bucket.to_owned(), key.to_owned());
        let body = files.read(&RemoteFile::S3 { region, bucket, key }).await?;
        let pieces: Vec<Bytes> = body.try_collect().await.unwrap();
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn objects_are_read_from_every_bucket_that_rows_name() {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(folder.path());
        let long: Vec<u8> = (0..3 << 20).map(|at: u32| (at / 7).to_le_bytes()[0]).collect();
        std::fs::create_dir(service.root().join("older")).unwrap();
        std::fs::write(service.objects().join("a.chunk"), &long).unwrap();
        std::fs::write(service.objects().join("empty.chunk"), "").unwrap();
        std::fs::write(service.root().join("older/b.chunk"), "older").unwrap();
        let files = AtticFiles::open_bucket(options(&service)).await.unwrap();
        assert!(read(&files, BUCKET, "a.chunk").await.unwrap() == long);
        assert_eq!(read(&files, BUCKET, "empty.chunk").await.unwrap(), b"");
        assert_eq!(read(&files, "older", "b.chunk").await.unwrap(), b"older");
        assert!(matches!(read(&files, BUCKET, "b.chunk").await, Err(Error::Gone(_))));
        assert!(matches!(read(&files, "none", "a.chunk").await, Err(Error::Bucket { .. })));
        for bad in ["../older/b.chunk", "", "a b"] {
            assert!(matches!(read(&files, BUCKET, bad).await, Err(Error::Row { .. })), "{bad}");
        }
        let local = RemoteFile::Local { name: "a.chunk".to_owned() };
        assert!(matches!(files.read(&local).await, Err(Error::Elsewhere(_))));

        // Each first answer fails, breaks off, or is short.
        for fault in [Fault::Answer(503, "SlowDown"), Fault::Refuse, Fault::CutAnswer, Fault::ShortenAnswer] {
            service.disturb(move |asked| (asked.number == 0).then(|| fault.clone()));
            assert!(read(&files, BUCKET, "a.chunk").await.unwrap() == long);
        }
    }

    #[tokio::test]
    async fn rows_do_not_make_more_clients_than_a_deployment_has_buckets() {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(folder.path());
        let files = AtticFiles::open_bucket(options(&service)).await.unwrap();
        for number in 1..MAX_BUCKETS {
            assert!(matches!(read(&files, &format!("none-{number}"), "a").await, Err(Error::Bucket { .. })));
        }
        assert!(matches!(read(&files, "one-more", "a").await, Err(Error::Row { .. })));
    }

    #[tokio::test]
    async fn a_bucket_that_is_not_there_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(folder.path());
        let options = Options { bucket: "none".to_owned(), ..options(&service) };
        let told = AtticFiles::open_bucket(options).await.unwrap_err();
        assert!(matches!(&told, Error::Bucket { bucket, .. } if bucket == "none"), "{told:?}");
    }
}
