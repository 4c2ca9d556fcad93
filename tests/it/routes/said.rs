//! Answers in one line.

use crate::harness::Answer;

/// `200`, or for an error `404 NoSuchCache`: the status, and the stable code from a body of the one shape that errors have.
#[track_caller]
pub(crate) fn said(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    if status < 400 {
        return status.to_string();
    }
    let body = answer.json();
    assert_eq!(answer.header("content-type"), "application/json", "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store", "an error must not outlive its cause: {answer:?}");
    assert_eq!(body["code"], status, "{body}");
    let message = body["message"].as_str().unwrap();
    assert!(!message.is_empty() && !message.contains('\n'), "{body}");
    // Nix prints bodies of less than a KiB to its user.
    assert!(answer.body.len() < 1024, "{body}");
    format!("{status} {}", body["error"].as_str().unwrap())
}
