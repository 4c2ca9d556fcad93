//! A verdict on trial: what can be said before the bytes are here.

use protocol::promotion::{Finding, Outcome, Predicate, Problem, Report};

/// Says of what rests on bytes that were not read that it waits for them, unless it is false by itself.
#[must_use]
pub fn ahead(mut report: Report) -> Report {
    for finding in &mut report.findings {
        match finding.predicate {
            Predicate::BytesVerified => {
                finding.problems.retain(|problem| problem.code != "not-read" && problem.code != "more");
                wait(finding, "every NAR is read again when the claim is verified");
            }
            Predicate::NoLeakage => wait(finding, "what is in the bytes is looked at when the claim is verified"),
            _ => {}
        }
    }
    report
}

fn wait(finding: &mut Finding, message: &str) {
    if finding.problems.is_empty() {
        finding.outcome = Outcome::Waiting;
        finding.problems.push(Problem { code: "later".to_owned(), message: message.to_owned(), remedy: None });
    }
}
