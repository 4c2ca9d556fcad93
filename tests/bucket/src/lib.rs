//! S3 services for tests: one in this process that fails as it is told, and Garage.
//!
//! [`Service`] is s3s-fs, which keeps objects as files, behind a layer that disturbs requests and answers on their way: what comes
//! out is what a client would see of a bad network or a service in trouble. [`Garage`] is a real service of one or three nodes, for
//! whoever has its program.

mod access;
mod fault;
mod garage;
mod service;

pub use fault::{Asked, Fault};
pub use garage::Garage;
pub use service::Service;

/// Whose key it is, at every service here.
pub const ACCESS_KEY_ID: &str = "GK000000000000000000000001";
/// The key.
pub const SECRET_ACCESS_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";
/// The region of every service here.
pub const REGION: &str = "garage";
/// The bucket that every service here has.
pub const BUCKET: &str = "flywheel";
