//! Bytes under keys in a bucket of an S3 service.
//!
//! Every request goes through `S3Storage::request`, which bounds, times, counts and repeats it. An object is put at once or, if
//! it is longer than a part, as a multipart upload that is aborted unless it is finished. Nothing here relies on conditional writes:
//! some services answer them with success and overwrite.

mod bucket;
mod credentials;
mod error;
mod lifecycle;
mod list;
mod options;
mod probe;
mod read;
mod request;
mod storage_impl;
mod unfinished;
mod writer;

pub use bucket::S3Storage;
pub use credentials::Login;
pub use error::S3Error;
pub use lifecycle::ExpiryRule;
pub use options::{EndpointStyle, Options};
pub use probe::Probe;
pub use request::{Observer, Outcome, Request};

#[cfg(test)]
mod tests;
