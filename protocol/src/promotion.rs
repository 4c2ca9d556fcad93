//! Promotion: claims, verdicts, tags, and what is said about them.
//!
//! Clean is a fact, promoted a decision, published an event; each needs the one before, and none follows from being in a cache.

mod attestation;
mod claim;
mod envelope;
mod explain;
mod fact;
mod manifest;
mod policy;
mod predicate;
mod tag;

pub use attestation::{AttestationError, SentAttestation, TestResult};
pub use claim::{
    Builder, Check, CheckRequest, CheckedPath, ClaimAnswer, ClaimRequest, ClaimState, ClaimedOutput, Evaluation,
    EvidenceQuestion, FlakeSource, Observation, Progress, Reason,
};
pub use envelope::{Envelope, EnvelopeSignature, STATEMENT_PAYLOAD, pre_authentication_encoding};
pub use explain::{Candidate, Explanation, Holding, PathPromotion, Prospect, Resolution, Seen};
pub use fact::{
    AttestedFact, ClaimFact, ObservedFact, PromotionFact, ReceiptFact, ResolvedFact, RevisionFact, TagFact, VerdictFact,
};
pub use manifest::{ManifestPath, Origin, PromotionManifest};
pub use policy::{CachePolicy, SetPolicy};
pub use predicate::{Finding, Outcome, Predicate, Problem, Report};
pub use tag::{
    ExportRequest, MoveTag, PromotionKeys, Receipt, Revision, RevisionState, Rollback, Tag, TagKind, TagName,
    TagNameError, Visibility,
};
