//! Pushing: decide what to send, then send it.

mod native;
mod plan;
mod rate;
mod schedule;
mod session;
mod upload;

pub use native::{ProtocolChoice, Survey, Transfer, Tuning};
pub use plan::{Candidates, PushPlan, SkipReason, Skipped, UpstreamFilter};
pub use session::{NotTried, Outcome, PathResult, Push, PushError, PushOptions, PushReport};
pub use upload::{UploadError, Uploaded};

#[cfg(test)]
mod tests;
