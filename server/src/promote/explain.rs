//! What is known of a path, in plain words.

use protocol::promotion::{ClaimState, Explanation, Finding, Outcome, Visibility};

use super::export::date;

/// Says it, a line each: where it is, who vouches for it, what keeps it, and what would have to happen.
#[must_use]
pub fn words(about: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if about.held.is_empty() {
        lines.push(format!("{} is in no cache that you may see.", about.path));
    }
    for held in &about.held {
        let who = held.pushed_by.as_deref().unwrap_or("somebody unknown");
        let seen_by = if held.is_public { "anybody may pull it from there" } else { "only who may pull from it" };
        lines.push(format!(
            "It is in the cache {}: pushed by {who} on {}, last used on {}; {seen_by}.",
            held.cache,
            date(held.pushed_at),
            date(held.last_used_at)
        ));
        if let Some(at) = held.quarantined_at {
            lines.push(format!("Its bytes there are damaged and hidden since {}: push it again.", date(at)));
        }
    }
    for claim in &about.claims {
        let what = claim.claim.attribute.as_deref().unwrap_or("no attribute");
        let who = &claim.builder.subject;
        lines.push(match claim.state {
            ClaimState::Clean => format!("Claim {} by {who} ({what}): it is clean{}.", claim.id, under(claim)),
            ClaimState::Filed => format!("Claim {} by {who} ({what}) waits to be verified.", claim.id),
            ClaimState::Verifying => format!("Claim {} by {who} ({what}) is being verified.", claim.id),
            ClaimState::Stalled => format!("Claim {} by {who} ({what}) waits for something:", claim.id),
            ClaimState::Rejected => format!("Claim {} by {who} ({what}): it is not clean{}:", claim.id, under(claim)),
            ClaimState::Withdrawn | ClaimState::Revoked => {
                let why = claim.reason.as_deref().unwrap_or("no reason given");
                format!("Claim {} by {who} ({what}) was {}: {why}.", claim.id, claim.state)
            }
        });
        let findings = claim.report.iter().flat_map(|report| &report.findings);
        let lacking = findings.filter(|finding| finding.outcome != Outcome::Passed);
        lines.extend(lacking.flat_map(of_finding));
    }
    for prospect in &about.prospects {
        let claim = prospect.claim;
        lines.push(match (&prospect.obstacles[..], prospect.is_publishable) {
            ([], true) => {
                format!("Claim {claim} can be promoted, also publicly: flywheel-push promote tag TAG {claim}")
            }
            ([], false) => format!("Claim {claim} can be promoted, but not publicly: too few builders agree."),
            (obstacles, _) => format!("Claim {claim} cannot be promoted as it is: {}.", obstacles.join("; ")),
        });
    }
    if about.claims.is_empty() {
        lines.push("Nobody claims to have built it, so it is not clean: being in a cache says nothing.".to_owned());
        lines.push("To make it promotable: flywheel-push promote claim FLAKE#ATTRIBUTE".to_owned());
    }
    for promotion in &about.promoted {
        let shown = match promotion.visibility {
            Visibility::LocalOnly => "not shown in any view",
            Visibility::Internal => "in its view for those who may pull from the cache",
            Visibility::Public => "in its view for anybody",
        };
        let (tag, number) = (&promotion.tag, promotion.revision);
        let (who, at) = (&promotion.moved_by, date(promotion.at));
        lines.push(if promotion.is_current {
            format!("It is promoted: {who} moved {tag} onto it on {at} (revision {number}), {shown}.")
        } else {
            format!("It is kept for a rollback of {tag} to revision {number}, which {who} made on {at}.")
        });
    }
    let mut hashes: Vec<_> = about.seen.iter().map(|seen| seen.nar_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    if hashes.len() > 1 {
        for seen in &about.seen {
            lines.push(format!("{} saw the NAR hash {} on {}.", seen.builder, seen.nar_hash, date(seen.at)));
        }
        lines.push(match &about.resolution {
            Some(settled) => format!(
                "Builders disagree; {} settled on {} on {}: {}.",
                settled.resolved_by,
                settled.nar_hash,
                date(settled.at),
                settled.reason
            ),
            None => "Builders disagree; it is not promoted until an admin settles that.".to_owned(),
        });
    }
    if !about.promoted.is_empty() {
        lines.push("It is kept as long as a revision that has it is.".to_owned());
    }
    if !about.pins.is_empty() {
        lines.push(format!("It is pinned: {}.", about.pins.join(", ")));
    }
    if about.promoted.is_empty() && about.pins.is_empty() {
        lines.push(
            "No tag and no pin names it: it goes once neither it nor what refers to it was used for as long as the cache says."
                .to_owned(),
        );
    }
    lines
}

fn under(claim: &protocol::promotion::ClaimAnswer) -> String {
    claim.report.as_ref().map(|report| format!(" under policy {}", report.policy_version)).unwrap_or_default()
}

/// What a predicate found wrong, and what would help.
pub(crate) fn of_finding(finding: &Finding) -> Vec<String> {
    let said = finding.problems.iter().map(|problem| {
        let remedy = problem.remedy.as_ref().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        format!("  {}: {}{remedy}", finding.predicate, problem.message)
    });
    said.collect()
}
