//! Multipart uploads whose writer died: nobody sees their parts, and somebody pays for them.

use aws_sdk_s3::types::MultipartUpload;
use storage::Key;

use crate::{S3Error, bucket::S3Storage};

impl S3Storage {
    /// Aborts uploads of objects below `prefix` that were begun before that time, by the service's clock; says how many.
    pub(crate) async fn abort_uploads(&self, prefix: &str, begun_before: i64) -> Result<u64, S3Error> {
        let bucket = &self.options().bucket;
        let prefix = format!("{}{prefix}", self.key_prefix());
        let mut aborted = 0;
        let mut after: Option<(String, String)> = None;
        loop {
            let list = || {
                let list = self.client().list_multipart_uploads().bucket(bucket).prefix(&prefix);
                let (key, upload) = after.clone().unzip();
                list.set_key_marker(key).set_upload_id_marker(upload).send()
            };
            let page = match self.request("ListMultipartUploads", 0, list).await {
                // A service that cannot tell has a rule of its own for them, or an operator.
                Err(S3Error::Unexpected { status: 501, .. }) => return Ok(aborted),
                page => page?,
            };
            for upload in page.uploads().iter().filter(|upload| self.is_orphan(upload, begun_before)) {
                let (key, id) = (upload.key(), upload.upload_id());
                let abort = || {
                    let abort = self.client().abort_multipart_upload().bucket(bucket);
                    abort.set_key(key.map(str::to_owned)).set_upload_id(id.map(str::to_owned)).send()
                };
                match self.request("AbortMultipartUpload", 0, abort).await {
                    Ok(_) => aborted += 1,
                    // Its writer was not dead after all, or somebody else was faster.
                    Err(S3Error::NoSuchKey | S3Error::Unexpected { status: 404, .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let markers = page.next_key_marker().zip(page.next_upload_id_marker());
            match markers.filter(|_| page.is_truncated() == Some(true)) {
                Some((key, upload)) => after = Some((key.to_owned(), upload.to_owned())),
                None => return Ok(aborted),
            }
        }
    }

    /// Whether it is for an object that has a key of ours, and old enough.
    fn is_orphan(&self, upload: &MultipartUpload, begun_before: i64) -> bool {
        let key = upload.key().and_then(|key| key.strip_prefix(self.key_prefix()));
        let is_ours = key.is_some_and(|key| key.parse::<Key>().is_ok());
        is_ours && upload.initiated().is_some_and(|at| at.secs() < begun_before)
    }
}
