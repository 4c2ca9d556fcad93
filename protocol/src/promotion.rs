//! Promotion: claims, verdicts, tags, and what is said about them.
//!
//! Clean is a fact, promoted a decision, published an event; each needs the one before, and none follows from being in a cache.

mod claim;
mod explain;
mod fact;
mod manifest;
mod predicate;
mod tag;

pub use claim::{
    Builder, Check, ClaimAnswer, ClaimRequest, ClaimState, ClaimedOutput, Evaluation, EvidenceQuestion, FlakeSource,
    Observation, Progress, Reason,
};
pub use explain::{Candidate, Explanation, Holding, PathPromotion, Prospect, Resolution, Seen};
pub use fact::{ClaimFact, ObservedFact, PromotionFact, ReceiptFact, ResolvedFact, RevisionFact, TagFact, VerdictFact};
pub use manifest::{ManifestPath, Origin, PromotionManifest};
pub use predicate::{Finding, Outcome, Predicate, Problem, Report};
pub use tag::{
    ExportRequest, MoveTag, PromotionKeys, Receipt, Revision, RevisionState, Rollback, Tag, TagKind, TagName,
    TagNameError, Visibility,
};
