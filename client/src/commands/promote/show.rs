//! What is printed of claims, tags and explanations.

use protocol::{
    CacheName,
    promotion::{Candidate, ClaimAnswer, Explanation, Outcome, Report, Revision, Tag},
};
use serde::Serialize;

use crate::output::{ExitStatus, Failure, Printer};

pub(in crate::commands) fn json(printer: Printer, value: &impl Serialize) -> Result<(), Failure> {
    printer.data(serde_json::to_string(value).map_err(|error| Failure::of(ExitStatus::Failed, &error))?);
    Ok(())
}

pub(in crate::commands) fn claim(printer: Printer, claim: &ClaimAnswer, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(printer, claim);
    }
    printer.data(line(claim));
    if let Some(reason) = &claim.reason {
        printer.data(format_args!("  {reason}"));
    }
    if let Some(report) = &claim.report {
        findings(printer, report);
    }
    Ok(())
}

fn line(claim: &ClaimAnswer) -> String {
    let what = claim.claim.attribute.as_deref().unwrap_or(claim.claim.derivation.name().as_str());
    format!("claim {}: {} ({what}, by {})", claim.id, claim.state, claim.builder.subject)
}

/// Each predicate on a line, and under it what is wrong.
pub(super) fn findings(printer: Printer, report: &Report) {
    printer.data(format_args!("  policy {} ({})", report.policy_version, report.policy_digest.hex()));
    for finding in &report.findings {
        let outcome = match finding.outcome {
            Outcome::Passed => "yes ",
            Outcome::Failed => "NO  ",
            Outcome::Waiting => "wait",
        };
        printer.data(format_args!("  {:3} {outcome} {}", finding.predicate.code(), finding.predicate.title()));
        for problem in &finding.problems {
            printer.data(format_args!("           {}", problem.message));
            if let Some(remedy) = &problem.remedy {
                printer.data(format_args!("           -> {remedy}"));
            }
        }
    }
}

pub(super) fn claims(printer: Printer, claims: &[ClaimAnswer], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(printer, &claims);
    }
    claims.iter().for_each(|claim| printer.data(line(claim)));
    Ok(())
}

pub(super) fn tags(printer: Printer, tags: &[Tag], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(printer, &tags);
    }
    for tag in tags {
        let at = tag.current.as_ref().map_or("at nothing".to_owned(), |one| format!("at revision {}", one.number));
        printer.data(format_args!("{}: {} {}, {at}", tag.name, tag.visibility, tag.kind));
    }
    Ok(())
}

pub(super) fn history(printer: Printer, history: &[Revision], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(printer, &history);
    }
    for one in history {
        let claims: Vec<String> = one.claims.iter().map(ToString::to_string).collect();
        let repeats = one.repeats.map(|of| format!(", as {of} was")).unwrap_or_default();
        let reason = one.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        printer.data(format_args!(
            "{}: {} by {}, claims {}{repeats}{reason}",
            one.number,
            one.state,
            one.moved_by,
            claims.join(" ")
        ));
    }
    Ok(())
}

#[derive(Serialize)]
struct TagWithClaims<'a> {
    tag: &'a Tag,
    claims: &'a [ClaimAnswer],
}

pub(super) fn tag(
    printer: Printer,
    cache: &CacheName,
    tag: &Tag,
    claims: &[ClaimAnswer],
    as_json: bool,
) -> Result<(), Failure> {
    if as_json {
        return json(printer, &TagWithClaims { tag, claims });
    }
    match &tag.current {
        None => {
            printer.data(format_args!("{cache}@{} points at nothing: what it pointed at was taken back.", tag.name));
        }
        Some(one) => {
            printer.data(format_args!(
                "{cache}@{} is a {} tag ({}), at revision {}: {} moved it under policy {}.",
                tag.name, tag.visibility, tag.kind, one.number, one.moved_by, one.policy_version
            ));
            one.roots.iter().for_each(|root| printer.data(format_args!("  {root}")));
        }
    }
    for one in claims {
        claim(printer, one, false)?;
    }
    Ok(())
}

pub(super) fn explanation(printer: Printer, about: &Explanation, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(printer, about);
    }
    printer.data(&about.path);
    about.words.iter().for_each(|line| printer.data(line));
    Ok(())
}

pub(super) fn candidates(printer: Printer, candidates: &[Candidate], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(printer, &candidates);
    }
    for one in candidates {
        let what = one.attribute.as_deref().or_else(|| Some(one.outputs.first()?.name().as_str())).unwrap_or("?");
        let verdict = match (one.is_promotable, one.is_publishable) {
            (true, true) => "can be promoted, also publicly",
            (true, false) => "can be promoted, but not publicly",
            (false, _) => "cannot be promoted",
        };
        printer.data(format_args!("claim {}: {what}: {verdict}", one.claim));
        one.obstacles.iter().for_each(|obstacle| printer.data(format_args!("  {obstacle}")));
    }
    Ok(())
}
