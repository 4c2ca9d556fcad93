//! What leaves has what the schemas of in-toto, SLSA, DSSE and SPDX ask for.
//!
//! The requirements are written down here field by field: <https://github.com/in-toto/attestation/blob/main/spec/v1>,
//! <https://slsa.dev/spec/v1.0/provenance>, <https://github.com/secure-systems-lab/dsse>, and the JSON schema of SPDX 2.3.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use database::{CacheId, Claim, ClaimId};
use formats::{NarHash, SecretKey, Sha256, StorePath};
use protocol::{
    Timestamp,
    promotion::{
        Builder, ClaimRequest, ClaimState, ClaimedOutput, Evaluation, FlakeSource, ManifestPath, Origin,
        PromotionManifest, Report, Revision, RevisionState,
    },
};
use serde_json::{Value, json};

use super::{Member, manifest, provenance, sbom};

const REV: &str = "c3f5c6ed80e3e3f4a1d6f1d1c1a1b1e1f1a1b1c1";
const SRI: &str = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

fn path(hash: char, name: &str) -> StorePath {
    format!("{}-{name}", hash.to_string().repeat(32)).parse().unwrap()
}

fn member(number: i64, subject: &str) -> Member {
    let (root, leaf, away) = (path('1', "hello+x-1.0"), path('2', "leaf?=1.0"), path('3', "glibc-2.40"));
    let upstream = || Origin::Upstream {
        url: "https://cache.example.org/".to_owned(),
        key: "u-1".parse().unwrap(),
        signature: SecretKey::generate("u-1".parse().unwrap(), [1; 32]).sign("x"),
    };
    let one = |path: &StorePath, references: &[&StorePath], origin| ManifestPath {
        path: path.clone(),
        nar_hash: NarHash::from_bytes([1; 32]),
        nar_size: 100,
        references: references.iter().map(|path| (*path).clone()).collect(),
        ca: None,
        origin,
    };
    let locked = json!({ "type": "github", "owner": "o", "repo": "r", "rev": REV, "narHash": SRI });
    let locks = json!({ "root": "root", "nodes": { "root": {}, "nixpkgs": { "locked": locked }, "odd": {} } });
    let output = ClaimedOutput { path: root.clone(), nar_hash: NarHash::from_bytes([1; 32]) };
    Member {
        claim: Claim {
            id: ClaimId(number),
            cache: CacheId(1),
            cache_name: "main".parse().unwrap(),
            claim: ClaimRequest {
                attribute: Some("packages.x86_64-linux.hello".to_owned()),
                system: "x86_64-linux".to_owned(),
                derivation: path('4', "hello.drv"),
                outputs: [("out".parse().unwrap(), output)].into(),
                source: Some(FlakeSource { url: format!("github:o/r/{REV}"), locked, locks, lock_digest: None }),
                evaluation: Evaluation::default(),
                checks: Vec::new(),
            },
            builder: Builder { subject: subject.to_owned(), issuer: None, repository: None, reference: None },
            state: ClaimState::Clean,
            reason: None,
            report: None,
            filed_at: Timestamp(1_000_000),
            attempts: 1,
            progress: None,
        },
        report: Report {
            policy_version: "1".to_owned(),
            policy_digest: Sha256::from_bytes([1; 32]),
            manifest_digest: Sha256::from_bytes([2; 32]),
            at: Timestamp(1_000_001),
            findings: Vec::new(),
        },
        manifest: PromotionManifest {
            store_dir: "/nix/store".parse().unwrap(),
            roots: [root.clone()].into(),
            paths: vec![
                one(&root, &[&root, &leaf, &away], Origin::Cache),
                one(&leaf, &[], Origin::Cache),
                one(&away, &[], upstream()),
            ],
        },
    }
}

fn revision() -> Revision {
    Revision {
        number: 3,
        state: RevisionState::Kept,
        claims: vec![1, 2],
        roots: Vec::new(),
        is_publishable: true,
        policy_version: "1".to_owned(),
        policy_digest: Sha256::from_bytes([1; 32]),
        findings: Vec::new(),
        moved_by: "ada".to_owned(),
        at: Timestamp(1_000_002),
        repeats: None,
        reason: None,
    }
}

#[track_caller]
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("no {field} in {value:#}"))
}

#[track_caller]
fn list<'a>(value: &'a Value, field: &str) -> &'a Vec<Value> {
    value[field].as_array().unwrap_or_else(|| panic!("no list {field} in {value:#}"))
}

/// RFC 3986: a scheme, and no character that must be escaped.
#[track_caller]
fn assert_uri(uri: &str) {
    assert!(uri.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()), "{uri}");
    assert!(!uri.contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>\\^`{|}".contains(c)), "{uri}");
}

/// As RFC 3339 has it in UTC, which both SLSA and SPDX ask for.
#[track_caller]
fn assert_time(time: &str) {
    assert!(time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
}

#[track_caller]
fn assert_sha256(hex: &str) {
    assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{hex}");
}

#[test]
fn statements_have_what_in_toto_and_slsa_ask_for() {
    let members = [member(1, "ci-1"), member(2, "gh/repo:o/r:ref:refs/heads/a b\"")];
    let key = SecretKey::generate("main-promoted-1".parse().unwrap(), [7; 32]);
    let (cache, tag) = ("main".parse().unwrap(), "stable".parse().unwrap());
    let envelopes = provenance(&cache, &tag, &revision(), &members, &key).unwrap();
    assert_eq!(envelopes.len(), 2);
    for envelope in envelopes {
        let envelope = serde_json::to_value(envelope).unwrap();
        assert_eq!(text(&envelope, "payloadType"), "application/vnd.in-toto+json");
        let signature = &list(&envelope, "signatures")[0];
        assert_eq!(text(signature, "keyid"), "main-promoted-1");
        assert_eq!(BASE64.decode(text(signature, "sig").as_bytes()).unwrap().len(), 64);
        let payload = BASE64.decode(text(&envelope, "payload").as_bytes()).unwrap();
        let statement: Value = serde_json::from_slice(&payload).unwrap();

        assert_eq!(text(&statement, "_type"), "https://in-toto.io/Statement/v1");
        assert_eq!(text(&statement, "predicateType"), "https://slsa.dev/provenance/v1");
        let subjects = list(&statement, "subject");
        assert!(!subjects.is_empty());
        for subject in subjects {
            text(subject, "name");
            assert_sha256(text(&subject["digest"], "sha256"));
        }
        let build = &statement["predicate"]["buildDefinition"];
        assert_uri(text(build, "buildType"));
        assert!(build["externalParameters"].is_object() && build["internalParameters"].is_object());
        let dependencies = list(build, "resolvedDependencies");
        assert_eq!(dependencies.len(), 3, "the flake, its input, and the derivation");
        for dependency in dependencies {
            assert_uri(text(dependency, "uri"));
            assert!(dependency["digest"].as_object().is_none_or(|digest| digest.values().all(Value::is_string)));
        }
        let run = &statement["predicate"]["runDetails"];
        assert_uri(text(&run["builder"], "id"));
        assert!(run["builder"]["version"].as_object().unwrap().values().all(Value::is_string));
        text(&run["metadata"], "invocationId");
        assert_time(text(&run["metadata"], "finishedOn"));
    }
}

#[test]
fn bills_of_materials_have_what_spdx_asks_for() {
    let members = [member(1, "ci-1"), member(2, "ci-2")];
    let whole = manifest(&members).unwrap();
    assert_eq!(whole.paths.len(), 3, "what two claims have in common is there once");
    let document = sbom(&"main".parse().unwrap(), &"stable".parse().unwrap(), &revision(), &whole);

    assert_eq!(text(&document, "spdxVersion"), "SPDX-2.3");
    assert_eq!(text(&document, "dataLicense"), "CC0-1.0");
    assert_eq!(text(&document, "SPDXID"), "SPDXRef-DOCUMENT");
    text(&document, "name");
    assert_uri(text(&document, "documentNamespace"));
    assert!(!text(&document, "documentNamespace").contains('#'));
    assert_time(text(&document["creationInfo"], "created"));
    for creator in list(&document["creationInfo"], "creators") {
        let kind = creator.as_str().unwrap().split_once(": ").unwrap().0;
        assert!(["Tool", "Organization", "Person"].contains(&kind), "{creator}");
    }
    let mut ids = BTreeSet::from(["SPDXRef-DOCUMENT"]);
    for package in list(&document, "packages") {
        text(package, "name");
        let id = text(package, "SPDXID");
        let tail = id.strip_prefix("SPDXRef-").unwrap();
        assert!(tail.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)), "{id}");
        assert!(ids.insert(id), "{id} is there twice");
        let location = text(package, "downloadLocation");
        assert!(location == "NOASSERTION" || location == "NONE" || location.contains("://"), "{location}");
        assert_eq!(package["filesAnalyzed"], false, "or else it would have to say which files");
        for checksum in list(package, "checksums") {
            assert_eq!(text(checksum, "algorithm"), "SHA256");
            assert_sha256(text(checksum, "checksumValue"));
        }
        for license in ["licenseConcluded", "licenseDeclared", "copyrightText"] {
            assert_eq!(text(package, license), "NOASSERTION");
        }
    }
    let mut described = 0;
    for one in list(&document, "relationships") {
        let kind = text(one, "relationshipType");
        assert!(["DESCRIBES", "DEPENDS_ON"].contains(&kind));
        described += usize::from(kind == "DESCRIBES");
        for end in ["spdxElementId", "relatedSpdxElement"] {
            assert!(ids.contains(text(one, end)), "{one} is about nothing");
        }
        assert_ne!(one["spdxElementId"], one["relatedSpdxElement"]);
    }
    assert!(described > 0, "a document describes something");
}
