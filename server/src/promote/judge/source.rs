//! P1 and P2: where it comes from, and how it was evaluated.

use protocol::promotion::{ClaimRequest, Finding, FlakeSource, Predicate};
use serde_json::{Value, json};

use super::Problems;
use crate::promote::{
    pattern,
    policy::{EvaluationRules, SourceRules},
};

/// P1: the source is pinned and not dirty, and every input is locked.
pub(super) fn pinned(rules: &SourceRules, source: Option<&FlakeSource>) -> Finding {
    let predicate = Predicate::PinnedSource;
    let mut problems = Problems::default();
    let Some(source) = source else {
        if rules.require_flake {
            problems.add_with("no-flake", "the claim names no flake", "claim it as FLAKE#ATTRIBUTE");
        }
        return problems.finding(predicate, json!({ "flake": null }));
    };
    let scheme = scheme(&source.locked);
    let identity = identity(&source.locked, &scheme);
    if !rules.schemes.contains(&scheme) {
        let message = format!("the flake is a {scheme:?}, the policy allows {}", rules.schemes.join(", "));
        problems.add_with("scheme", message, "push the commit and claim it from where others can fetch it");
    }
    if !rules.repositories.is_empty() && !pattern::any(&rules.repositories, &identity) {
        problems.add("repository", format!("{identity} is none of the policy's repositories"));
    }
    let text = |name: &str| source.locked.get(name).and_then(Value::as_str);
    let is_git = !scheme.starts_with("tarball") && !scheme.starts_with("file") && scheme != "path";
    if text("dirtyRev").is_some() {
        problems.add_with(
            "dirty",
            "the working tree has changes that are in no commit",
            "commit them, and build again",
        );
    } else if is_git && !text("rev").is_some_and(is_revision) {
        let message = "the flake has no immutable revision: its tree is dirty, or it is not locked";
        problems.add_with("no-revision", message, "commit everything, and build again");
    }
    if !text("narHash").is_some_and(is_nar_hash) {
        problems.add("no-nar-hash", "the locked flake has no NAR hash");
    }
    let inputs = inputs(rules, source, &mut problems);
    let evidence = json!({
        "url": source.url,
        "repository": identity,
        "rev": text("rev"),
        "narHash": text("narHash"),
        "lockDigest": source.lock_digest,
        "inputs": inputs,
    });
    problems.finding(predicate, evidence)
}

/// Checks every node of the lock file but the root, and returns how many there are.
fn inputs(rules: &SourceRules, source: &FlakeSource, problems: &mut Problems) -> usize {
    let Some(nodes) = source.locks.get("nodes").and_then(Value::as_object) else {
        problems.add("no-locks", "the claim does not say what its inputs are locked to");
        return 0;
    };
    let root = source.locks.get("root").and_then(Value::as_str).unwrap_or("root");
    let inputs: Vec<_> = nodes.iter().filter(|(name, _)| *name != root).collect();
    if !inputs.is_empty() && source.lock_digest.is_none() {
        problems.add_with("no-lock-file", "the flake has inputs and no lock file", "commit flake.lock");
    }
    for (name, node) in &inputs {
        let Some(locked) = node.get("locked").filter(|locked| locked.is_object()) else {
            problems.add_with("unlocked-input", format!("the input {name} is not locked"), "run nix flake lock");
            continue;
        };
        let scheme = scheme(locked);
        let text = |key: &str| locked.get(key).and_then(Value::as_str);
        // A folder of the same repository comes with it.
        let is_within = scheme == "path"
            && (node.get("parent").is_some() || text("path").is_some_and(|path| !path.starts_with('/')));
        if is_within {
            continue;
        }
        if !rules.input_schemes.contains(&scheme) {
            let message = format!("the input {name} is a {scheme:?}, which the policy does not allow");
            problems.add_with("input-scheme", message, "take the input from where others can fetch it");
        }
        if !text("narHash").is_some_and(is_nar_hash) {
            problems.add_with("unlocked-input", format!("the input {name} has no NAR hash"), "run nix flake lock");
        }
        if text("dirtyRev").is_some() {
            problems.add("dirty-input", format!("the input {name} is dirty"));
        }
    }
    inputs.len()
}

/// P2: nothing but the source took part in the evaluation.
pub(super) fn pure(rules: &EvaluationRules, claim: &ClaimRequest) -> Finding {
    let evaluation = &claim.evaluation;
    let mut problems = Problems::default();
    if rules.require_pure {
        if !evaluation.pure {
            problems.add_with("impure", "it was not evaluated purely", "evaluate the locked flake, without --impure");
        }
        for input in &evaluation.overrides {
            problems.add("override", format!("the input {input} was replaced on the command line"));
        }
    }
    let evidence = json!({ "nix": evaluation.nix, "pure": evaluation.pure, "overrides": evaluation.overrides });
    problems.finding(Predicate::PureEvaluation, evidence)
}

/// The scheme that a locked reference would be written with.
fn scheme(locked: &Value) -> String {
    let text = |name: &str| locked.get(name).and_then(Value::as_str);
    let kind = text("type").unwrap_or("unknown");
    match (kind, text("url").and_then(|url| url.split_once(':'))) {
        ("git" | "hg" | "tarball" | "file", Some((scheme, _))) => format!("{kind}+{scheme}"),
        _ => kind.to_owned(),
    }
}

/// Which repository a locked reference is of.
fn identity(locked: &Value, scheme: &str) -> String {
    let text = |name: &str| locked.get(name).and_then(Value::as_str);
    match (text("owner"), text("repo"), text("url")) {
        (Some(owner), Some(repo), _) => match text("host") {
            Some(host) => format!("{scheme}:{owner}/{repo}?host={host}"),
            None => format!("{scheme}:{owner}/{repo}"),
        },
        (_, _, Some(url)) => format!("{scheme}:{}", url.split_once(':').map_or(url, |(_, rest)| rest)),
        _ => scheme.to_owned(),
    }
}

fn is_revision(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_nar_hash(text: &str) -> bool {
    text.parse::<formats::Hash>().is_ok_and(|hash| hash.algorithm() == formats::HashAlgorithm::Sha256)
}
