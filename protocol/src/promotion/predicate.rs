//! The twelve things that are asked of a claim, and what was found.

use formats::Sha256;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

macro_rules! predicates {
    ($($(#[doc = $doc:literal])* $name:ident $code:literal $title:literal;)*) => {
        /// One thing that is asked of a claim.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Predicate { $($(#[doc = $doc])* #[serde(rename = $code)] $name,)* }

        impl Predicate {
            /// All twelve, in order.
            pub const ALL: [Self; 12] = [$(Self::$name,)*];

            /// The number by which policies and documents name it.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it says, when it holds.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

predicates! {
    /// The source has an immutable revision, is not dirty, and so is every input.
    PinnedSource "P1" "the source is pinned and not dirty, and every input is locked";
    /// Nothing but the source took part in the evaluation.
    PureEvaluation "P2" "it was evaluated purely";
    /// No derivation of the build escapes its sandbox.
    Hygiene "P3" "no derivation of the build is impure or leaves its sandbox";
    /// The outputs are those that follow from the derivation.
    OutputsFollow "P4" "the outputs follow from the derivation";
    /// Every reference leads to a path here, or in an upstream that has signed it.
    ClosureComplete "P5" "the closure is complete";
    /// Every NAR was read again and has its hash.
    BytesVerified "P6" "every NAR was read again and has its hash";
    /// Every signature is by a known key, and good.
    Signed "P7" "every signature is good";
    /// Nothing is in the closure that must not leave.
    NoLeakage "P8" "nothing is in the closure that must not leave";
    /// The builder, and what it built for, are trusted.
    TrustedBuilder "P9" "the builder and the ref are trusted";
    /// Enough builders got the same, and none got something else.
    Corroborated "P10" "enough independent builders agree and none disagrees";
    /// The checks that the policy names were green.
    Validated "P11" "the checks that are asked for were green";
    /// It is something that is promoted at all.
    EligibleClass "P12" "the attribute is of a kind that is promoted";
}

impl Predicate {
    /// Whether a claim is clean only if this holds.
    #[must_use]
    pub const fn is_for_clean(self) -> bool {
        !matches!(self, Self::TrustedBuilder | Self::Corroborated | Self::Validated | Self::EligibleClass)
    }
}

impl std::fmt::Display for Predicate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// What was found of a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not, and will not by waiting.
    Failed,
    /// Something is missing that may come yet.
    Waiting,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind of problem, for programs; never changes.
    pub code: String,
    /// What is wrong, for people; never holds a secret.
    pub message: String,
    /// What would help, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A predicate, what was found of it, and on what grounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub predicate: Predicate,
    /// What was found.
    pub outcome: Outcome,
    /// What is wrong; the first few, if there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// What was looked at.
    pub evidence: serde_json::Value,
}

/// Everything that was found of a claim, once, under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The policy's version, as its author wrote it.
    pub policy_version: String,
    /// SHA-256 of the policy in effect.
    pub policy_digest: Sha256,
    /// SHA-256 of the manifest of the closure.
    pub manifest_digest: Sha256,
    /// When it was found.
    pub at: Timestamp,
    /// Each predicate, in order.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether all that makes a claim clean was found true.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let held = |predicate: Predicate| {
            self.findings.iter().any(|f| f.predicate == predicate && f.outcome == Outcome::Passed)
        };
        Predicate::ALL.into_iter().filter(|predicate| predicate.is_for_clean()).all(held)
    }

    /// The findings that stand in the way of being clean.
    pub fn obstacles(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.predicate.is_for_clean() && f.outcome != Outcome::Passed)
    }

    /// What was found of one predicate.
    #[must_use]
    pub fn finding(&self, predicate: Predicate) -> Option<&Finding> {
        self.findings.iter().find(|f| f.predicate == predicate)
    }
}
