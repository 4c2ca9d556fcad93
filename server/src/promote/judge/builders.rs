//! P9 to P12: who built, who agrees, what was checked, and what it is.

use std::collections::{BTreeMap, BTreeSet};

use formats::{StorePath, StorePathHash};
use protocol::promotion::{Builder, ClaimRequest, Finding, Predicate, Resolution, Seen};
use serde_json::json;

use super::Problems;
use crate::promote::{
    evidence::Attested,
    pattern,
    policy::{BuilderRules, CheckRules, ClassRules},
};

/// P9: the builder and the ref are trusted.
pub(super) fn trusted(rules: &BuilderRules, builder: &Builder) -> Finding {
    let mut problems = Problems::default();
    if !rules.subjects.is_empty() && !pattern::any(&rules.subjects, &builder.subject) {
        problems.add("builder", format!("{:?} is none of the policy's builders", builder.subject));
    }
    let mut named = |code: &str, what: &str, patterns: &[pattern::Pattern], value: Option<&String>| {
        if patterns.is_empty() {
            return;
        }
        match value {
            Some(value) if pattern::any(patterns, value) => {}
            Some(value) => problems.add(code, format!("the {what} {value:?} is none of the policy's")),
            None => {
                let remedy = "exchange the job's own identity for a token";
                problems.add_with(code, format!("the token does not say which {what} the job ran for"), remedy);
            }
        }
    };
    named("repository", "repository", &rules.repositories, builder.repository.as_ref());
    named("ref", "ref", &rules.refs, builder.reference.as_ref());
    problems.finding(Predicate::TrustedBuilder, json!(builder))
}

/// P10: enough independent builders agree on each root, and none that counts disagrees about anything.
#[must_use]
pub fn corroborated(
    needed: usize,
    roots: &[StorePath],
    seen: &[Seen],
    resolutions: &[(StorePathHash, Resolution)],
) -> Finding {
    let mut problems = Problems::default();
    let resolutions: BTreeMap<_, _> = resolutions.iter().map(|(hash, resolution)| (*hash, resolution)).collect();
    let counts =
        |one: &Seen| resolutions.get(one.path.hash()).is_none_or(|r| one.nar_hash == r.nar_hash || one.at > r.at);
    let mut by_path: BTreeMap<&StorePath, BTreeMap<_, BTreeSet<&str>>> = BTreeMap::new();
    for one in seen.iter().filter(|one| counts(one)) {
        by_path.entry(&one.path).or_default().entry(one.nar_hash).or_default().insert(&one.builder);
    }
    for (path, hashes) in by_path.iter().filter(|(_, hashes)| hashes.len() > 1) {
        let sides: Vec<String> = hashes
            .iter()
            .map(|(hash, builders)| {
                let builders: Vec<&str> = builders.iter().copied().collect();
                format!("{} saw {hash}", builders.join(", "))
            })
            .collect();
        let remedy = "find out which is right, and have an admin settle it with a reason";
        problems.add_with("divergence", format!("builders disagree about {path}: {}", sides.join("; ")), remedy);
    }
    let mut agreeing = serde_json::Map::new();
    for root in roots {
        let builders = by_path.get(root).map_or(0, |hashes| hashes.values().map(BTreeSet::len).max().unwrap_or(0));
        agreeing.insert(root.to_string(), json!(builders));
        if builders < needed {
            let message = format!("{root} was built by {builders} of {needed} independent builders");
            problems.add_with("too-few-builders", message, "build and claim it with the token of another builder");
        }
    }
    problems.finding(Predicate::Corroborated, json!({ "needed": needed, "builders": agreeing }))
}

/// P11: the checks that the policy names were green: by the builder's word, or, where the policy names keys, by an envelope that one
/// of them has signed.
#[must_use]
pub fn validated(rules: &CheckRules, claim: &ClaimRequest, attested: &[Attested]) -> Finding {
    let mut problems = Problems::default();
    let is_own_word_enough = rules.keys.is_empty();
    let remedy = if is_own_word_enough {
        "claim with --check NAME"
    } else {
        "have it attested with one of the policy's keys: promote attest"
    };
    for name in &rules.required {
        let told =
            claim.checks.iter().filter(|check| is_own_word_enough && check.name == *name).map(|check| check.passed);
        let signed = attested.iter().filter(|one| !one.signed_by.is_empty() && one.name == *name).map(|one| one.passed);
        match told.chain(signed).reduce(|a, b| a && b) {
            Some(true) => {}
            Some(false) => problems.add("check-failed", format!("{name} failed")),
            None => problems.add_with("no-check", format!("{name} is not said to be green"), remedy),
        }
    }
    let evidence = json!({ "required": rules.required, "told": claim.checks, "attested": attested });
    problems.finding(Predicate::Validated, evidence)
}

/// P12: the attribute is of a kind that is promoted.
pub(super) fn eligible(rules: &ClassRules, claim: &ClaimRequest) -> Finding {
    let mut problems = Problems::default();
    match &claim.attribute {
        None if rules.allow_without_attribute => {}
        None => problems.add("no-attribute", "the claim names no attribute of a flake"),
        Some(attribute) if rules.attributes.is_empty() || pattern::any(&rules.attributes, attribute) => {}
        Some(attribute) => problems.add("attribute", format!("{attribute} is not of a kind that is promoted")),
    }
    let name = claim.derivation.name().as_str();
    if pattern::any(&rules.deny_names, name) {
        problems.add("denied-derivation", format!("{name} is promoted elsewhere, or not at all"));
    }
    problems.finding(Predicate::EligibleClass, json!({ "attribute": claim.attribute, "derivation": name }))
}
