//! What an S3 service may answer instead of doing as it was asked.

use std::{error::Error, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};
use storage::{Cause, Key};

/// Why a request to an S3 service failed.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// There is no such object.
    #[error("the object does not exist")]
    NoSuchKey,
    /// The multipart upload is not known: it was aborted, or completed already.
    #[error("the multipart upload does not exist any more")]
    NoSuchUpload,
    /// The object ends before the range begins.
    #[error("the object ends before the range begins")]
    BadRange,
    /// There is no such bucket.
    #[error("the bucket {bucket} does not exist")]
    NoSuchBucket {
        /// Which.
        bucket: String,
    },
    /// These credentials may not do that.
    #[error("the bucket {bucket} denies {operation} to these credentials")]
    AccessDenied {
        /// Which.
        bucket: String,
        /// What was asked.
        operation: &'static str,
    },
    /// The service does not know the credentials, or their secret is another.
    #[error("the service does not accept the credentials ({code})")]
    BadCredentials {
        /// In its words.
        code: String,
    },
    /// Nothing gives credentials.
    #[error("no credentials can be had: {0}")]
    NoCredentials(String),
    /// Signatures are dated, and the clocks differ too much.
    #[error("the clocks of this machine and of the service differ by more than it allows")]
    ClockSkew,
    /// The bucket is somewhere else.
    #[error("the bucket {bucket} is not in the region {region}")]
    WrongRegion {
        /// Which.
        bucket: String,
        /// Where it was looked for.
        region: String,
    },
    /// The service has too much to do.
    #[error("the service asks to slow down ({code})")]
    SlowDown {
        /// In its words.
        code: String,
    },
    /// The service is full, or the bucket's quota is.
    #[error("the service has no space left ({code})")]
    NoSpace {
        /// In its words.
        code: String,
    },
    /// No answer came in time.
    #[error("no answer came within {0:?}")]
    Timeout(Duration),
    /// There was no connection, or it broke.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// The service failed.
    #[error("the service failed: {status} {code}: {message}")]
    Failed {
        /// The status.
        status: u16,
        /// The code, if it gave one.
        code: String,
        /// In its words.
        message: String,
    },
    /// An answer that makes no sense for the request.
    #[error("the service answered what it should not: {status} {code}: {message}")]
    Unexpected {
        /// The status.
        status: u16,
        /// The code, if it gave one.
        code: String,
        /// In its words.
        message: String,
    },
    /// The answer says that all went well, and lacks what it must have.
    #[error("the answer to {operation} is not whole")]
    CutOff {
        /// What was asked.
        operation: &'static str,
    },
    /// The answer's body broke off.
    #[error("the answer broke off after {got} of {wanted} bytes: {reason}")]
    BrokenBody {
        /// How many bytes came.
        got: u64,
        /// How many were asked for.
        wanted: u64,
        /// Why.
        reason: String,
    },
    /// The service sends other bytes than it was asked for.
    #[error("the service does not heed ranges: asked for {asked}, got {got}")]
    RangesIgnored {
        /// The range.
        asked: String,
        /// What the answer says it is.
        got: String,
    },
}

impl S3Error {
    /// Whether the same request may well succeed in a moment.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::SlowDown { .. }
            | Self::Timeout(_)
            | Self::Connection(_)
            | Self::Failed { .. }
            | Self::CutOff { .. }
            | Self::BrokenBody { .. } => true,
            Self::NoSuchKey
            | Self::NoSuchUpload
            | Self::BadRange
            | Self::NoSuchBucket { .. }
            | Self::AccessDenied { .. }
            | Self::BadCredentials { .. }
            | Self::NoCredentials(_)
            | Self::ClockSkew
            | Self::WrongRegion { .. }
            | Self::NoSpace { .. }
            | Self::Unexpected { .. }
            | Self::RangesIgnored { .. } => false,
        }
    }

    /// What to try.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoSuchBucket { .. } => "make the bucket, or correct storage.bucket and storage.endpoint",
            Self::AccessDenied { .. } => {
                "the credentials need s3:ListBucket on the bucket and s3:GetObject, s3:PutObject, s3:DeleteObject and \
                 s3:AbortMultipartUpload on its objects"
            }
            Self::BadCredentials { .. } => "check access_key_id and secret_access_key, and storage.region",
            Self::NoCredentials(_) => {
                "set [storage.credentials], or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a role"
            }
            Self::ClockSkew => "set this machine's clock: run NTP",
            Self::WrongRegion { .. } => "correct storage.region",
            Self::SlowDown { .. } => "try again, or lower flywheel.s3.max-requests",
            Self::NoSpace { .. } => "give the service more space, or raise the bucket's quota",
            Self::Timeout(_) | Self::Connection(_) => "check storage.endpoint, and that the service runs",
            Self::RangesIgnored { .. } => "this service cannot be used: `flywheel-server storage check` says more",
            Self::NoSuchKey
            | Self::NoSuchUpload
            | Self::BadRange
            | Self::Failed { .. }
            | Self::Unexpected { .. }
            | Self::CutOff { .. }
            | Self::BrokenBody { .. } => "look into the service's own log",
        }
    }

    /// The same as any store says it, about `key`.
    pub(crate) fn about(self, key: &Key) -> storage::Error {
        match self {
            Self::NoSuchKey => storage::Error::NotFound { key: key.clone() },
            error => error.into(),
        }
    }
}

impl From<S3Error> for storage::Error {
    fn from(error: S3Error) -> Self {
        let cause: Cause = Box::new(error);
        match cause.downcast_ref() {
            Some(S3Error::AccessDenied { .. } | S3Error::BadCredentials { .. } | S3Error::NoCredentials(_)) => {
                Self::Denied(cause)
            }
            Some(S3Error::NoSpace { .. }) => Self::NoSpace(cause),
            _ => Self::Unavailable(cause),
        }
    }
}

/// What a request was about, for its errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) operation: &'static str,
    pub(crate) bucket: &'a str,
    pub(crate) region: &'a str,
}

impl Asked<'_> {
    /// Sorts what the SDK says into its situation.
    pub(crate) fn failure<E>(self, error: SdkError<E, HttpResponse>) -> S3Error
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(error) => {
                let (code, message) = (error.err().code(), error.err().message());
                self.refusal(error.raw().status().as_u16(), code.unwrap_or_default(), message.unwrap_or_default())
            }
            SdkError::TimeoutError(error) => S3Error::Connection(format!("{error:?}")),
            other => match find_credentials_error(&other) {
                Some(error) => S3Error::NoCredentials(error),
                None => match other.raw_response().map(|raw| raw.status().as_u16()) {
                    Some(200..=299) => S3Error::CutOff { operation: self.operation },
                    // An answer that is no S3 answer: a proxy's page.
                    Some(status) => self.refusal(status, "", "the answer cannot be read"),
                    None => S3Error::Connection(DisplayErrorContext(&other).to_string()),
                },
            },
        }
    }

    fn refusal(self, status: u16, code: &str, message: &str) -> S3Error {
        let (bucket, region) = (self.bucket.to_owned(), self.region.to_owned());
        let code_owned = || if code.is_empty() { status.to_string() } else { code.to_owned() };
        match (status, code) {
            (_, "NoSuchBucket") => S3Error::NoSuchBucket { bucket },
            (404, "NotFound") if self.operation == "HeadBucket" => S3Error::NoSuchBucket { bucket },
            (404, "") if self.operation == "HeadBucket" => S3Error::NoSuchBucket { bucket },
            (_, "NoSuchKey") => S3Error::NoSuchKey,
            (404, "NotFound" | "") if self.operation == "HeadObject" => S3Error::NoSuchKey,
            (_, "NoSuchUpload") => S3Error::NoSuchUpload,
            (416, _) | (_, "InvalidRange") => S3Error::BadRange,
            (_, "RequestTimeTooSkewed") => S3Error::ClockSkew,
            (
                _,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "InvalidSecurity"
                | "TokenRefreshRequired",
            ) => S3Error::BadCredentials { code: code_owned() },
            (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
            | (301, _) => S3Error::WrongRegion { bucket, region },
            (_, "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "Forbidden") | (401 | 403, _) => {
                S3Error::AccessDenied { bucket, operation: self.operation }
            }
            (
                _,
                "SlowDown"
                | "SlowDownRead"
                | "SlowDownWrite"
                | "TooManyRequests"
                | "RequestLimitExceeded"
                | "ServiceUnavailable",
            )
            | (429 | 503, _) => S3Error::SlowDown { code: code_owned() },
            (507, _) | (_, "XMinioStorageFull" | "QuotaExceeded" | "XMinioAdminBucketQuotaExceeded") => {
                S3Error::NoSpace { code: code_owned() }
            }
            // What was signed did not arrive, or took too long to: the line, not the request, is to blame.
            (
                _,
                "RequestTimeout"
                | "XAmzContentSHA256Mismatch"
                | "BadDigest"
                | "IncompleteBody"
                | "InvalidDigest"
                | "OperationAborted",
            )
            | (408 | 500..=599, _) => S3Error::Failed { status, code: code_owned(), message: message.to_owned() },
            _ => S3Error::Unexpected { status, code: code_owned(), message: message.to_owned() },
        }
    }
}

fn find_credentials_error(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<CredentialsError>().is_some() {
            return Some(DisplayErrorContext(error).to_string());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(operation: &'static str, status: u16, code: &str) -> S3Error {
        Asked { operation, bucket: "b", region: "r" }.refusal(status, code, "m")
    }

    #[test]
    fn situations_are_told_apart() {
        assert!(matches!(told("GetObject", 404, "NoSuchKey"), S3Error::NoSuchKey));
        assert!(matches!(told("HeadObject", 404, ""), S3Error::NoSuchKey));
        assert!(matches!(told("HeadBucket", 404, ""), S3Error::NoSuchBucket { .. }));
        assert!(matches!(told("PutObject", 404, "NoSuchBucket"), S3Error::NoSuchBucket { .. }));
        // A page of something in between, not the service's word on the object.
        assert!(matches!(told("GetObject", 404, ""), S3Error::Unexpected { .. }));
        assert!(matches!(told("GetObject", 403, "RequestTimeTooSkewed"), S3Error::ClockSkew));
        assert!(matches!(told("GetObject", 403, "SignatureDoesNotMatch"), S3Error::BadCredentials { .. }));
        assert!(matches!(told("HeadObject", 403, ""), S3Error::AccessDenied { operation: "HeadObject", .. }));
        assert!(matches!(told("PutObject", 503, "SlowDown"), S3Error::SlowDown { .. }));
        assert!(matches!(told("PutObject", 503, ""), S3Error::SlowDown { .. }));
        assert!(matches!(told("PutObject", 500, "InternalError"), S3Error::Failed { .. }));
        assert!(matches!(told("PutObject", 507, "XMinioStorageFull"), S3Error::NoSpace { .. }));
        assert!(matches!(told("HeadBucket", 301, ""), S3Error::WrongRegion { .. }));
        assert!(matches!(told("GetObject", 416, "InvalidRange"), S3Error::BadRange));
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        for passes in [("PutObject", 503, "SlowDown"), ("PutObject", 500, ""), ("PutObject", 400, "BadDigest")] {
            assert!(told(passes.0, passes.1, passes.2).is_transient(), "{passes:?}");
        }
        for stays in [("PutObject", 403, "AccessDenied"), ("PutObject", 404, "NoSuchBucket"), ("PutObject", 400, "X")] {
            assert!(!told(stays.0, stays.1, stays.2).is_transient(), "{stays:?}");
        }
    }

    #[test]
    fn a_store_says_the_same_in_its_words() {
        let key: Key = "k".parse().unwrap();
        assert!(matches!(S3Error::NoSuchKey.about(&key), storage::Error::NotFound { .. }));
        assert!(matches!(told("GetObject", 403, "").about(&key), storage::Error::Denied(_)));
        assert!(matches!(told("GetObject", 507, "").about(&key), storage::Error::NoSpace(_)));
        let gone = told("GetObject", 404, "NoSuchBucket").about(&key);
        let storage::Error::Unavailable(cause) = gone else { panic!("{gone:?}") };
        assert_eq!(cause.to_string(), "the bucket b does not exist");
        assert!(cause.downcast_ref::<S3Error>().unwrap().hint().contains("storage.bucket"));
    }
}
