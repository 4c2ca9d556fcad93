//! What others attest about a claim: statements of in-toto about results of tests.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ClaimRequest, Envelope, envelope::STATEMENT_PAYLOAD};
use crate::Timestamp;

/// The form of statements.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The kind of statement about results of tests.
const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// An envelope about a claim, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentAttestation {
    /// The envelope.
    pub envelope: Envelope,
    /// By whom it was sent, which says nothing of who has signed it.
    pub sent_by: String,
    /// When.
    pub at: Timestamp,
}

/// A statement that certain checks of certain outputs were green or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    #[serde(rename = "_type")]
    form: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    kind: String,
    predicate: Results,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    digest: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Results {
    result: Outcome,
    #[serde(default)]
    configuration: Vec<serde_json::Value>,
    #[serde(default)]
    passed_tests: Vec<String>,
    #[serde(default)]
    warned_tests: Vec<String>,
    #[serde(default)]
    failed_tests: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Outcome {
    Passed,
    Warned,
    Failed,
}

/// Why an envelope is no attestation about a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// It holds something else than a statement.
    #[error("the payload is {0:?}, not {STATEMENT_PAYLOAD:?}")]
    Payload(String),
    /// It cannot be read.
    #[error("the payload is no statement about results of tests: {0}")]
    Statement(String),
    /// It is another kind of statement.
    #[error("the statement is a {0:?}, not a {TEST_RESULT:?}")]
    Kind(String),
    /// It is about other outputs.
    #[error("no subject of the statement has the SHA-256 of the claimed output {0}")]
    Subject(String),
    /// Nobody has signed it.
    #[error("the envelope has no signature")]
    Unsigned,
}

impl TestResult {
    /// States that these checks of a claim's outputs were green, and those failed.
    #[must_use]
    pub fn about(claim: &ClaimRequest, passed: Vec<String>, failed: Vec<String>) -> Self {
        let subject = claim.outputs.values().map(|output| Subject {
            name: Some(output.path.to_string()),
            digest: [("sha256".to_owned(), output.nar_hash.hex())].into(),
        });
        let result = if failed.is_empty() { Outcome::Passed } else { Outcome::Failed };
        Self {
            form: STATEMENT.to_owned(),
            subject: subject.collect(),
            kind: TEST_RESULT.to_owned(),
            predicate: Results {
                result,
                configuration: Vec::new(),
                passed_tests: passed,
                warned_tests: Vec::new(),
                failed_tests: failed,
            },
        }
    }

    /// What an envelope states about all outputs of a claim, whoever signed it.
    ///
    /// # Errors
    /// It states something else, or about something else.
    pub fn read(envelope: &Envelope, claim: &ClaimRequest) -> Result<Self, AttestationError> {
        if envelope.payload_type != STATEMENT_PAYLOAD {
            return Err(AttestationError::Payload(envelope.payload_type.clone()));
        }
        if envelope.signatures.is_empty() {
            return Err(AttestationError::Unsigned);
        }
        let text = envelope.open().ok_or_else(|| AttestationError::Statement("it is not base 64".to_owned()))?;
        let malformed = |error: serde_json::Error| AttestationError::Statement(error.to_string());
        let form: serde_json::Value = serde_json::from_str(&text).map_err(malformed)?;
        let kind = form["predicateType"].as_str().unwrap_or_default();
        if form["_type"] != STATEMENT || kind != TEST_RESULT {
            return Err(AttestationError::Kind(kind.to_owned()));
        }
        let statement: Self = serde_json::from_value(form).map_err(malformed)?;
        let digests: BTreeSet<&str> =
            statement.subject.iter().filter_map(|subject| subject.digest.get("sha256")).map(String::as_str).collect();
        match claim.outputs.values().find(|output| !digests.contains(output.nar_hash.hex().as_str())) {
            Some(output) => Err(AttestationError::Subject(output.path.to_string())),
            None => Ok(statement),
        }
    }

    /// The checks by name, and whether they were green; one with warnings was.
    pub fn checks(&self) -> impl Iterator<Item = (&str, bool)> {
        let Results { passed_tests, warned_tests, failed_tests, .. } = &self.predicate;
        let green = passed_tests.iter().chain(warned_tests).map(|name| (name.as_str(), true));
        green.chain(failed_tests.iter().map(|name| (name.as_str(), false)))
    }
}

#[cfg(test)]
mod tests {
    use formats::SecretKey;

    use super::*;
    use crate::promotion::{ClaimedOutput, Evaluation};

    fn claim() -> ClaimRequest {
        let path = "7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-hello".parse().unwrap();
        let nar_hash = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73".parse().unwrap();
        ClaimRequest {
            attribute: None,
            system: "x86_64-linux".to_owned(),
            derivation: "7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-hello.drv".parse().unwrap(),
            outputs: [("out".parse().unwrap(), ClaimedOutput { path, nar_hash })].into(),
            source: None,
            evaluation: Evaluation::default(),
            checks: Vec::new(),
        }
    }

    fn seal(payload_type: &str, text: &str) -> Envelope {
        Envelope::seal(payload_type, text, &SecretKey::generate("ci-1".parse().unwrap(), [1; 32]))
    }

    #[test]
    fn a_statement_is_about_the_outputs_of_its_claim() {
        let statement = TestResult::about(&claim(), vec!["a".to_owned()], vec!["b".to_owned()]);
        let text = serde_json::to_string(&statement).unwrap();
        let read = TestResult::read(&seal(STATEMENT_PAYLOAD, &text), &claim()).unwrap();
        assert_eq!(read.checks().collect::<Vec<_>>(), [("a", true), ("b", false)]);
        let mut other = claim();
        other.outputs.values_mut().for_each(|output| output.nar_hash = formats::NarHash::digest_of(b"other"));
        let refused = TestResult::read(&seal(STATEMENT_PAYLOAD, &text), &other);
        assert!(matches!(refused, Err(AttestationError::Subject(_))), "{refused:?}");
    }

    #[test]
    fn other_statements_are_told_apart() {
        let text = serde_json::to_string(&TestResult::about(&claim(), vec![], vec![])).unwrap();
        let read = |payload_type: &str, text: &str| TestResult::read(&seal(payload_type, text), &claim()).unwrap_err();
        assert!(matches!(read("text/plain", &text), AttestationError::Payload(_)));
        assert!(matches!(read(STATEMENT_PAYLOAD, "{"), AttestationError::Statement(_)));
        let provenance = text.replace("attestation/test-result/v0.1", "provenance");
        assert!(matches!(read(STATEMENT_PAYLOAD, &provenance), AttestationError::Kind(_)));
        let unsigned = Envelope { signatures: Vec::new(), ..seal(STATEMENT_PAYLOAD, &text) };
        assert_eq!(TestResult::read(&unsigned, &claim()), Err(AttestationError::Unsigned));
    }
}
