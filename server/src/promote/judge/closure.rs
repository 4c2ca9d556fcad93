//! P5 to P8: what the closure consists of.

use protocol::promotion::{Finding, Origin, Predicate};
use serde_json::json;

use super::Problems;
use crate::promote::{
    evidence::{ClosureFacts, Evidence, Scan, SignatureFact},
    pattern,
    policy::{ContentRules, SignatureRules},
};

/// P5: every reference leads to a path here, or in an upstream that has signed it.
pub(super) fn complete(evidence: &Evidence) -> Finding {
    let facts = &evidence.closure;
    let mut problems = Problems::default();
    if facts.is_too_large {
        problems.add("too-large", "the closure has more paths than the policy allows");
    } else {
        for (path, by) in &facts.missing {
            let message = match by {
                Some(by) => format!("{path} is missing; {by} refers to it"),
                None => format!("{path} is missing; it is claimed"),
            };
            problems.add_with("missing-path", message, "push it, or name the upstream that has it in the policy");
        }
        for url in &facts.unreachable {
            problems.add("upstream-away", format!("{url} did not answer"));
        }
        problems = problems.waiting();
    }
    let upstream = facts.paths.values().filter(|(_, origin)| *origin != Origin::Cache).count();
    let bytes: u64 = facts.paths.values().map(|(info, _)| info.nar_size).sum();
    let evidence = json!({
        "paths": facts.paths.len(),
        "upstream": upstream,
        "missing": facts.missing.len(),
        "narBytes": bytes,
    });
    problems.finding(Predicate::ClosureComplete, evidence)
}

/// P6: every NAR was read again and has its hash.
pub(super) fn bytes_verified(evidence: &Evidence) -> Finding {
    let mut problems = Problems::default();
    let (mut read, mut bytes) = (0_u64, 0);
    for (path, (info, origin)) in &evidence.closure.paths {
        if *origin != Origin::Cache {
            continue;
        }
        match evidence.scans.get(path) {
            None => problems.add("not-read", format!("{path} was not read")),
            Some(Scan::Damaged) => {
                problems.add_with("damaged", format!("the stored bytes of {path} are damaged"), "push it again");
            }
            Some(Scan::Read { nar_hash, nar_size, .. }) => {
                read += 1;
                bytes += nar_size;
                if *nar_hash != info.nar_hash || *nar_size != info.nar_size {
                    problems.add("wrong-hash", format!("{path} has the NAR hash {nar_hash}, not {}", info.nar_hash));
                }
            }
        }
    }
    for claimed in evidence.claim.outputs.values() {
        if let Some((info, _)) = evidence.closure.paths.get(&claimed.path)
            && info.nar_hash != claimed.nar_hash
        {
            let message = format!(
                "the builder has {} with the NAR hash {}, the cache {}",
                claimed.path, claimed.nar_hash, info.nar_hash
            );
            problems.add("other-bytes", message);
        }
    }
    problems.finding(Predicate::BytesVerified, json!({ "paths": read, "narBytes": bytes }))
}

/// P7: every signature is by a known key, and good.
pub(super) fn signed(rules: &SignatureRules, facts: &ClosureFacts) -> Finding {
    let mut problems = Problems::default();
    let mut good = 0_usize;
    for (path, key, fact) in &facts.signatures {
        match fact {
            SignatureFact::Good => good += 1,
            SignatureFact::Forged => {
                problems.add("forged-signature", format!("{path}: {key} did not make that signature"));
            }
            SignatureFact::Unknown if rules.allow_unknown => {}
            SignatureFact::Unknown => {
                let remedy = "name the key in the policy, or push the path without that signature";
                problems.add_with(
                    "foreign-signature",
                    format!("{path} is signed by {key}, which nobody knows"),
                    remedy,
                );
            }
        }
    }
    let evidence = json!({ "signatures": facts.signatures.len(), "good": good });
    problems.finding(Predicate::Signed, evidence)
}

/// P8: nothing is in the closure that must not leave.
pub(super) fn no_leakage(rules: &ContentRules, evidence: &Evidence) -> Finding {
    let mut problems = Problems::default();
    for path in evidence.closure.paths.keys() {
        let name = path.name().as_str();
        if pattern::any(&rules.deny_names, name) && !pattern::any(&rules.allow_names, name) {
            problems.add("denied-name", format!("{path} has a name that the policy denies"));
        }
        let Some(Scan::Read { secrets, mentions, .. }) = evidence.scans.get(path) else { continue };
        if !pattern::any(&rules.allow_secrets_in, name) {
            for (kind, at) in secrets {
                // What it is stays where it is.
                problems.add("secret", format!("{path} has what looks like {kind}, at byte {at} of its NAR"));
            }
        }
        if !pattern::any(&rules.allow_mentions_in, name) {
            for hash in mentions {
                problems.add("undeclared-reference", format!("{path} mentions {hash}, to which it does not refer"));
            }
        }
    }
    problems
        .finding(Predicate::NoLeakage, json!({ "paths": evidence.closure.paths.len(), "read": evidence.scans.len() }))
}
