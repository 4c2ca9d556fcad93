//! Writing: one PUT, or parts under way while the next one is gathered.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::{
    operation::{create_multipart_upload::CreateMultipartUploadOutput, upload_part::UploadPartOutput},
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::{Bytes, BytesMut};
use storage::{Error, Key, Result, Writer};
use tokio::task::JoinSet;

use crate::{S3Error, bucket::S3Storage};

/// The most parts that an object has.
const MAX_PARTS: i32 = 10_000;
/// What the upload's own name is kept under in its object, so that one sees whose object it is.
const MARK: &str = "flywheel-upload";

impl S3Storage {
    pub(crate) async fn put_object(&self, key: &Key, body: Bytes) -> Result<()> {
        let (bucket, object) = (&self.options().bucket, self.object(key));
        let put = || {
            let body = ByteStream::from(body.clone());
            self.client().put_object().bucket(bucket).key(&object).body(body).send()
        };
        // The same bytes under the same key: one that took effect unseen may be made again.
        self.request("PutObject", body.len(), put).await.map(drop).map_err(|error| error.about(key))
    }

    pub(crate) fn writer(&self, key: &Key) -> S3Writer {
        let part_size = self.join_writers();
        S3Writer {
            storage: self.clone(),
            key: key.clone(),
            part_size,
            buffer: BytesMut::new(),
            upload: None,
            is_interrupted: false,
        }
    }
}

/// An object that is being written in pieces.
pub(crate) struct S3Writer {
    storage: S3Storage,
    key: Key,
    part_size: usize,
    /// The next part.
    buffer: BytesMut,
    /// Begun with the first part.
    upload: Option<Upload>,
    /// Whether a write was begun and not seen to succeed.
    is_interrupted: bool,
}

/// A multipart upload. Dropped before it is completed, it is aborted.
struct Upload {
    storage: S3Storage,
    key: Key,
    id: String,
    mark: String,
    sent: i32,
    bytes: u64,
    parts: JoinSet<Result<CompletedPart, S3Error>>,
    done: Vec<CompletedPart>,
    is_over: bool,
}

#[async_trait]
impl Writer for S3Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let was_interrupted = std::mem::replace(&mut self.is_interrupted, true);
        if was_interrupted {
            return Err(Error::Interrupted { key: self.key.clone() });
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(self.part_size - self.buffer.len()));
            self.buffer.extend_from_slice(&piece);
            if self.buffer.len() == self.part_size {
                self.send_part().await?;
            }
        }
        self.is_interrupted = false;
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        if self.is_interrupted {
            return Err(Error::Interrupted { key: self.key.clone() });
        }
        if self.upload.is_none() {
            let body = std::mem::take(&mut self.buffer).freeze();
            return self.storage.put_object(&self.key, body).await;
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        match self.upload.take() {
            Some(upload) => upload.complete().await,
            None => Ok(()),
        }
    }
}

impl S3Writer {
    async fn send_part(&mut self) -> Result<()> {
        let upload = match self.upload.take() {
            Some(upload) => upload,
            None => Upload::begin(&self.storage, &self.key).await?,
        };
        let upload = self.upload.insert(upload);
        let body = std::mem::take(&mut self.buffer).freeze();
        upload.send(body).await.map_err(|error| error.about(&self.key))
    }
}

impl Drop for S3Writer {
    fn drop(&mut self) {
        self.storage.leave_writers();
    }
}

impl Upload {
    async fn begin(storage: &S3Storage, key: &Key) -> Result<Self> {
        let (bucket, object) = (&storage.options().bucket, storage.object(key));
        let mark = format!("{:032x}", rand::random::<u128>());
        let create = || {
            let create = storage.client().create_multipart_upload().bucket(bucket).key(&object);
            create.metadata(MARK, &mark).send()
        };
        let has_id = |answer: &CreateMultipartUploadOutput| answer.upload_id().is_some();
        let answer = storage.request_until("CreateMultipartUpload", 0, create, has_id).await;
        let id = answer.map_err(|error| error.about(key))?.upload_id.unwrap_or_default();
        Ok(Self {
            storage: storage.clone(),
            key: key.clone(),
            id,
            mark,
            sent: 0,
            bytes: 0,
            parts: JoinSet::new(),
            done: Vec::new(),
            is_over: false,
        })
    }

    /// Sends the next part on its way, as soon as there is memory for it.
    async fn send(&mut self, body: Bytes) -> Result<(), S3Error> {
        while let Some(ended) = self.parts.try_join_next() {
            self.take(ended)?;
        }
        if self.sent == MAX_PARTS {
            let message = format!("an object has at most {MAX_PARTS} parts");
            return Err(S3Error::Unexpected { status: 400, code: "EntityTooLarge".to_owned(), message });
        }
        self.sent += 1;
        self.bytes += body.len() as u64;
        let weight = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let closed = |_| S3Error::Connection("closed".to_owned());
        let memory = Arc::clone(&self.storage.sending()).acquire_many_owned(weight).await.map_err(closed)?;
        let (storage, object, id, number) =
            (self.storage.clone(), self.storage.object(&self.key), self.id.clone(), self.sent);
        self.parts.spawn(async move {
            let bucket = &storage.options().bucket;
            let has_tag = |answer: &UploadPartOutput| answer.e_tag().is_some();
            let send = || {
                let body = ByteStream::from(body.clone());
                let part = storage.client().upload_part().bucket(bucket).key(&object).upload_id(&id);
                part.part_number(number).body(body).send()
            };
            let answer = storage.request_until("UploadPart", body.len(), send, has_tag).await?;
            drop(memory);
            Ok(CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag).build())
        });
        Ok(())
    }

    fn take(&mut self, ended: Result<Result<CompletedPart, S3Error>, tokio::task::JoinError>) -> Result<(), S3Error> {
        let part = ended.map_err(|error| S3Error::Connection(error.to_string()))??;
        self.done.push(part);
        Ok(())
    }

    async fn complete(mut self) -> Result<()> {
        while let Some(ended) = self.parts.join_next().await {
            self.take(ended).map_err(|error| error.about(&self.key))?;
        }
        let mut parts = std::mem::take(&mut self.done);
        parts.sort_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let (bucket, object) = (&self.storage.options().bucket, self.storage.object(&self.key));
        let complete = || {
            let complete = self.storage.client().complete_multipart_upload().bucket(bucket).key(&object);
            complete.upload_id(&self.id).multipart_upload(parts.clone()).send()
        };
        let completed = self.storage.request("CompleteMultipartUpload", 0, complete).await;
        if let Err(error) = completed {
            // The answer to an earlier attempt may have been lost, and a service does not know an upload any more that it
            // has completed.
            if error.is_transient() || !self.is_the_object().await {
                return Err(error.about(&self.key));
            }
        }
        self.is_over = true;
        Ok(())
    }

    /// Whether the object is what this upload would have made it.
    async fn is_the_object(&self) -> bool {
        self.storage.head(&self.key).await.is_ok_and(|head| {
            let mark = head.metadata().and_then(|metadata| metadata.get(MARK));
            mark == Some(&self.mark) && head.content_length().and_then(|l| u64::try_from(l).ok()) == Some(self.bytes)
        })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        self.parts.abort_all();
        let mut parts = std::mem::take(&mut self.parts);
        let (storage, key, id) = (self.storage.clone(), self.key.clone(), std::mem::take(&mut self.id));
        // If this is not got through, the parts stay until a lifecycle rule or an operator removes them: nobody sees them.
        runtime.spawn(async move {
            // A part that arrives after the abort would stay.
            while parts.join_next().await.is_some() {}
            let (bucket, object) = (&storage.options().bucket, storage.object(&key));
            let abort = || storage.client().abort_multipart_upload().bucket(bucket).key(&object).upload_id(&id).send();
            if let Err(error) = storage.request("AbortMultipartUpload", 0, abort).await {
                tracing::warn!(%key, %error, "a multipart upload could not be aborted");
            }
        });
    }
}
