//! Requests that a store does not make, for finding out what a service is.

use aws_sdk_s3::primitives::ByteStream;
use storage::Key;

use crate::{S3Error, bucket::S3Storage};

/// What every probe stores.
const BODY: &[u8] = b"123456789";
/// Its CRC-32, base64.
const CRC32: &str = "y/Q5Jg==";
/// Some other CRC-32.
const WRONG_CRC32: &str = "AAAAAA==";
/// Some other MD5, base64.
const WRONG_MD5: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

/// A way to put an object that not every service understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Only if there is none of that name.
    IfAbsent,
    /// With its CRC-32.
    Crc32,
    /// With a CRC-32 that is not its.
    WrongCrc32,
    /// With an MD5 that is not its.
    WrongMd5,
}

impl S3Storage {
    /// Puts a few bytes in that way, once, and says whether the service took them.
    ///
    /// # Errors
    /// If it answered neither yes nor no.
    pub async fn probe(&self, key: &Key, probe: Probe) -> Result<bool, S3Error> {
        let put = || {
            let put = self.client().put_object().bucket(&self.options().bucket).key(self.object(key));
            let put = put.body(ByteStream::from_static(BODY));
            match probe {
                Probe::IfAbsent => put.if_none_match("*"),
                Probe::Crc32 => put.checksum_crc32(CRC32),
                Probe::WrongCrc32 => put.checksum_crc32(WRONG_CRC32),
                Probe::WrongMd5 => put.content_md5(WRONG_MD5),
            }
            .send()
        };
        match self.attempt("PutObject", BODY.len(), false, put).await {
            Ok(_) => Ok(true),
            Err(S3Error::Unexpected { .. } | S3Error::Failed { status: 400..=499 | 501, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
