//! The bucket as a store.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use storage::{Key, Result, Storage, Writer};

use crate::{S3Error, bucket::S3Storage};

/// The most that one GET asks for: as much as a pack has.
const EXTENT_BYTES: u64 = 64 << 20;
/// What makes a PUT cheap beside what it stores, and is still far less than a pack may be.
const WRITE_BYTES: u64 = 16 << 20;

#[async_trait]
impl Storage for S3Storage {
    async fn put(&self, key: &Key, body: Bytes) -> Result<()> {
        self.put_object(key, body).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Writer>> {
        Ok(Box::new(self.writer(key)))
    }

    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        self.read_range(key, range).await
    }

    async fn stream(&self, key: &Key, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        self.stream_range(key, range).await
    }

    fn extent_size(&self) -> u64 {
        EXTENT_BYTES
    }

    fn write_size(&self) -> u64 {
        WRITE_BYTES
    }

    async fn ping(&self) -> Result<()> {
        Ok(self.ping_bucket().await?)
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        self.length(key).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let (bucket, object) = (&self.options().bucket, self.object(key));
        let delete = || self.client().delete_object().bucket(bucket).key(&object).send();
        match self.request("DeleteObject", 0, delete).await {
            Ok(_) | Err(S3Error::NoSuchKey) => Ok(()),
            Err(error) => Err(error.about(key)),
        }
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<(Key, u64)>> {
        self.list_objects(prefix)
    }

    async fn abort_unfinished(&self, prefix: &str, begun_before: i64) -> Result<u64> {
        Ok(self.abort_uploads(prefix, begun_before).await?)
    }
}
