//! Pushing: decide what to send, then send it.

mod plan;
mod schedule;
mod session;
mod upload;

pub use plan::{Candidates, PushPlan, SkipReason, Skipped, UpstreamFilter};
pub use session::{NotTried, Outcome, PathResult, Push, PushError, PushOptions, PushReport};
pub use upload::{UploadError, Uploaded};

#[cfg(test)]
mod tests;
