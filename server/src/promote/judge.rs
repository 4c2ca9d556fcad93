//! The predicates: pure functions of a policy and of what was gathered.

mod ahead;
mod builders;
mod closure;
mod derivation;
mod source;

#[cfg(test)]
mod tests;

use formats::Sha256;
use protocol::{
    Timestamp,
    promotion::{Finding, Outcome, Predicate, Problem, Report},
};
use serde_json::Value;

use super::{evidence::Evidence, policy::Policy};

pub use ahead::ahead;
pub use builders::{corroborated, validated};
pub(crate) use derivation::records;

/// How many problems of one predicate are written down.
const MAX_PROBLEMS: usize = 20;

/// Judges a claim by a policy. Only what is in `evidence` counts.
#[must_use]
pub fn judge(policy: &Policy, evidence: &Evidence, manifest_digest: Sha256, at: Timestamp) -> Report {
    let rules = &policy.rules;
    let roots: Vec<_> = evidence.claim.outputs.values().map(|output| output.path.clone()).collect();
    let findings = vec![
        source::pinned(&rules.source, evidence.claim.source.as_ref()),
        source::pure(&rules.evaluation, &evidence.claim),
        derivation::hygiene(&rules.derivation, evidence),
        derivation::outputs_follow(&rules.derivation, evidence),
        closure::complete(evidence),
        closure::bytes_verified(evidence),
        closure::signed(&rules.signatures, &evidence.closure),
        closure::no_leakage(&rules.content, evidence),
        builders::trusted(&rules.builders, &evidence.builder),
        corroborated(rules.corroboration.builders, &roots, &evidence.seen, &evidence.resolutions),
        validated(&rules.checks, &evidence.claim, &evidence.attested),
        builders::eligible(&rules.class, &evidence.claim),
    ];
    Report { policy_version: rules.version.clone(), policy_digest: policy.digest, manifest_digest, at, findings }
}

/// Problems on their way to a finding.
#[derive(Debug, Default)]
struct Problems {
    list: Vec<Problem>,
    more: usize,
    may_pass: bool,
}

impl Problems {
    /// Notes a problem that does not go away by waiting.
    fn add(&mut self, code: &str, message: impl Into<String>) {
        self.push(Problem { code: code.to_owned(), message: message.into(), remedy: None });
    }

    /// The same, with what would help.
    fn add_with(&mut self, code: &str, message: impl Into<String>, remedy: &str) {
        self.push(Problem { code: code.to_owned(), message: message.into(), remedy: Some(remedy.to_owned()) });
    }

    fn push(&mut self, problem: Problem) {
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Says that all that was noted may go away by waiting.
    fn waiting(mut self) -> Self {
        self.may_pass = true;
        self
    }

    fn finding(mut self, predicate: Predicate, evidence: Value) -> Finding {
        let outcome = match (self.list.is_empty(), self.may_pass) {
            (true, _) => Outcome::Passed,
            (false, true) => Outcome::Waiting,
            (false, false) => Outcome::Failed,
        };
        if self.more > 0 {
            let message = format!("and {} more", self.more);
            self.list.push(Problem { code: "more".to_owned(), message, remedy: None });
        }
        Finding { predicate, outcome, problems: self.list, evidence }
    }
}
