//! What s3s-fs would answer otherwise than S3 does.

use std::path::PathBuf;

use s3s::{
    S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    dto::{GetObjectInput, HeadObjectInput},
    s3_error,
};

/// Lets everybody with the key do everything, and knows that a folder of objects is no object.
pub(crate) struct Access {
    pub(crate) root: PathBuf,
}

impl Access {
    fn is_no_object(&self, bucket: &str, key: &str) -> S3Result<()> {
        let path = self.root.join(bucket).join(key);
        if path.is_dir() { Err(s3_error!(NoSuchKey)) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_some() { Ok(()) } else { Err(s3_error!(AccessDenied)) }
    }

    async fn get_object(&self, req: &mut S3Request<GetObjectInput>) -> S3Result<()> {
        self.is_no_object(&req.input.bucket, &req.input.key)
    }

    async fn head_object(&self, req: &mut S3Request<HeadObjectInput>) -> S3Result<()> {
        self.is_no_object(&req.input.bucket, &req.input.key)
    }
}
