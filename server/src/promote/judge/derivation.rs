//! P3 and P4: what the derivations do, and what follows from them.

use formats::{Output, OutputPath};
use protocol::promotion::{Finding, Predicate};
use serde_json::json;

use super::Problems;
use crate::promote::{evidence::Evidence, policy::DerivationRules};

/// P3: no derivation of the build is impure or leaves its sandbox.
pub(super) fn hygiene(rules: &DerivationRules, evidence: &Evidence) -> Finding {
    let facts = &evidence.derivations;
    let mut problems = Problems::default();
    for (path, flag) in &facts.flagged {
        problems.add("flag", format!("{path} sets {flag}"));
    }
    if facts.are_too_many {
        let message = format!("the build has more than {} derivations", rules.max_derivations);
        problems.add("too-many-derivations", message);
    }
    if rules.require_sandbox && evidence.claim.evaluation.sandbox != Some(true) {
        problems.add_with("no-sandbox", "the builder does not say that it built in the sandbox", "set sandbox = true");
    }
    if problems.list.is_empty() && !facts.missing.is_empty() {
        problems = missing(facts);
    }
    let evidence = json!({
        "derivations": facts.read,
        "fixed": facts.fixed,
        "flagged": facts.flagged.len(),
        "sandbox": evidence.claim.evaluation.sandbox,
    });
    problems.finding(Predicate::Hygiene, evidence)
}

fn missing(facts: &crate::promote::evidence::DerivationFacts) -> Problems {
    let mut problems = Problems::default();
    for path in &facts.missing {
        let remedy = "send it as evidence; flywheel-push promote claim does";
        problems.add_with("no-derivation", format!("{path} is not in the evidence"), remedy);
    }
    problems.waiting()
}

/// P4: the outputs follow from the derivation.
pub(super) fn outputs_follow(rules: &DerivationRules, evidence: &Evidence) -> Finding {
    let facts = &evidence.derivations;
    let mut problems = Problems::default();
    for path in &facts.forged {
        problems.add("forged-derivation", format!("{path} records other output paths than follow from it"));
    }
    let mut computed = serde_json::Map::new();
    match &facts.outputs {
        None if facts.missing.is_empty() => {
            problems.add("no-outputs", "what the derivation comes to cannot be computed");
        }
        None => problems = missing(facts),
        Some(outputs) => {
            for (name, claimed) in &evidence.claim.outputs {
                let Some(follows) = outputs.get(name) else {
                    problems.add("no-such-output", format!("the derivation has no output {name}"));
                    continue;
                };
                match follows {
                    OutputPath::Known(path) => {
                        computed.insert(name.to_string(), json!(path));
                        if *path != claimed.path {
                            let message = format!("{name} is claimed to be {}, but is {path}", claimed.path);
                            problems.add("wrong-output-path", message);
                        }
                    }
                    OutputPath::Unknown if rules.allow_floating => floating(evidence, &claimed.path, &mut problems),
                    OutputPath::Unknown => {
                        let message = format!("the path of {name} does not follow from the derivation");
                        problems.add("floating-output", message);
                    }
                }
            }
        }
    }
    problems.finding(Predicate::OutputsFollow, json!({ "computed": computed }))
}

/// Whatever its derivation, a floating output must at least follow from its contents.
fn floating(evidence: &Evidence, path: &formats::StorePath, problems: &mut Problems) {
    let follows =
        evidence.closure.paths.get(path).is_some_and(|(info, _)| info.is_content_addressed(&evidence.store_dir));
    if !follows {
        problems.add("not-content-addressed", format!("{path} does not follow from its contents"));
    }
}

/// Whether the outputs that a derivation records are those that were computed.
pub(crate) fn records(output: &Output, computed: &OutputPath) -> bool {
    match (output, computed) {
        (Output::InputAddressed(path) | Output::Fixed { path, .. }, OutputPath::Known(computed)) => path == computed,
        (Output::Floating { .. } | Output::Impure { .. } | Output::Deferred, OutputPath::Unknown) => true,
        // A derivation whose inputs are content-addressed must leave its paths open, and one whose are not must not.
        (Output::InputAddressed(_) | Output::Fixed { .. }, OutputPath::Unknown)
        | (Output::Floating { .. } | Output::Impure { .. } | Output::Deferred, OutputPath::Known(_)) => false,
    }
}
