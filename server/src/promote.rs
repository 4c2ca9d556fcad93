//! Promotion: which outputs are clean, and who says so.
//!
//! ```text
//! claim ─► gather (derivations, closure, bytes) ─► judge (twelve predicates) ─► verdict
//!                                                                                  │ a promoter moves a tag
//!                                                         view, signed ◄─ revision ◄┘
//! ```
//!
//! `policy`, `evidence` and `judge` are pure: what a predicate says follows from the policy and the evidence alone.

pub mod evidence;
pub mod explain;
pub mod export;
pub mod gather;
pub mod judge;
pub mod pattern;
pub mod policies;
pub mod policy;
pub mod roots;
pub mod tags;
pub mod work;

use std::time::Duration;

use policy::Policy;
use tokio::sync::Notify;

/// What promotion goes by, shared by all requests.
#[derive(Debug)]
pub struct Promote {
    /// What is asked of claims to caches that have no policy of their own.
    pub policy: Policy,
    /// How many superseded revisions of a channel are kept in any case.
    pub keep_revisions: usize,
    /// For how long superseded revisions are kept in any case.
    pub keep_for: Duration,
    /// Whether something waits to be verified.
    pub(crate) wake: Notify,
}

impl Promote {
    /// Goes by that policy.
    #[must_use]
    pub fn new(policy: Policy, keep_revisions: usize, keep_for: Duration) -> Self {
        Self { policy, keep_revisions, keep_for, wake: Notify::new() }
    }
}
