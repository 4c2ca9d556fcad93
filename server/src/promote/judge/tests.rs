//! One test for each predicate in which exactly that one fails, and says why.

use std::collections::BTreeMap;

use formats::{NarHash, OutputPath, PathInfo, Sha256, StorePath};
use protocol::promotion::{
    Builder, Check, ClaimRequest, ClaimedOutput, Evaluation, FlakeSource, Origin, Report, Resolution, Seen,
};
use serde_json::json;

use super::*;
use crate::promote::{
    evidence::{Attested, ClosureFacts, DerivationFacts, Scan, SignatureFact},
    policy::Rules,
};

const REV: &str = "c3f5c6ed80e3e3f4a1d6f1d1c1a1b1e1f1a1b1c1";
const SRI: &str = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

fn path(hash: char, name: &str) -> StorePath {
    format!("{}-{name}", hash.to_string().repeat(32)).parse().unwrap()
}

fn nar_hash(byte: u8) -> NarHash {
    NarHash::from_bytes([byte; 32])
}

fn info(path: &StorePath, references: &[&StorePath]) -> PathInfo {
    PathInfo {
        path: path.clone(),
        nar_hash: nar_hash(1),
        nar_size: 100,
        references: references.iter().map(|path| (*path).clone()).collect(),
        deriver: None,
        signatures: [].into(),
        ca: None,
    }
}

fn seen(path: &StorePath, builder: &str, byte: u8, at: i64) -> Seen {
    Seen { path: path.clone(), builder: builder.to_owned(), nar_hash: nar_hash(byte), at: Timestamp(at) }
}

/// Two builders, a flake on GitHub, a root that refers to a leaf: all is well.
fn good() -> Evidence {
    let (root, leaf) = (path('1', "hello-1.0"), path('2', "leaf-1.0"));
    let locked = json!({ "type": "github", "owner": "o", "repo": "r", "rev": REV, "narHash": SRI });
    let locks = json!({ "root": "root", "version": 7, "nodes": {
        "root": { "inputs": { "nixpkgs": "nixpkgs" } },
        "nixpkgs": { "locked": { "type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": REV, "narHash": SRI } },
    }});
    let claim = ClaimRequest {
        attribute: Some("packages.x86_64-linux.hello".into()),
        system: "x86_64-linux".into(),
        derivation: path('3', "hello-1.0.drv"),
        outputs: [("out".parse().unwrap(), ClaimedOutput { path: root.clone(), nar_hash: nar_hash(1) })].into(),
        source: Some(FlakeSource {
            url: format!("github:o/r/{REV}"),
            locked,
            locks,
            lock_digest: Some(Sha256::from_bytes([9; 32])),
        }),
        evaluation: Evaluation { nix: "nix (Nix) 2.8.0".into(), pure: true, overrides: vec![], sandbox: None },
        checks: vec![Check { name: "nix flake check".into(), passed: true }],
    };
    let outputs = [("out".parse().unwrap(), OutputPath::Known(root.clone()))].into();
    let scan = || Scan::Read { nar_hash: nar_hash(1), nar_size: 100, secrets: vec![], mentions: [].into() };
    let paths = [
        (root.clone(), (info(&root, &[&leaf, &root]), Origin::Cache)),
        (leaf.clone(), (info(&leaf, &[]), Origin::Cache)),
    ];
    Evidence {
        store_dir: formats::StoreDir::default(),
        claim,
        builder: Builder {
            subject: "ci-1".into(),
            issuer: None,
            repository: Some("o/r".into()),
            reference: Some("refs/heads/main".into()),
        },
        derivations: DerivationFacts { read: 3, fixed: 1, outputs: Some(outputs), ..DerivationFacts::default() },
        closure: ClosureFacts { paths: paths.into(), ..ClosureFacts::default() },
        scans: BTreeMap::from([(root.clone(), scan()), (leaf, scan())]),
        seen: vec![seen(&root, "ci-1", 1, 10), seen(&root, "ci-2", 1, 20)],
        resolutions: vec![],
        attested: vec![],
    }
}

fn rules() -> Rules {
    let text = "version = 'test-1'\n[corroboration]\nbuilders = 2\n[checks]\nrequired = ['nix flake check']\n[builders]\n\
                subjects = ['ci-*']\nrepositories = ['o/*']\nrefs = ['refs/heads/main', 'refs/tags/*']\n";
    toml::from_str(text).unwrap()
}

fn judged(evidence: &Evidence) -> Report {
    judge(&Policy::new(rules()), evidence, Sha256::from_bytes([0; 32]), Timestamp(100))
}

/// The one predicate that does not hold, how, and the codes of its problems.
#[track_caller]
fn only(evidence: &Evidence) -> (Predicate, Outcome, Vec<String>) {
    let report = judged(evidence);
    assert!(report.findings.iter().map(|finding| finding.predicate).eq(Predicate::ALL));
    let mut lacking: Vec<_> = report.findings.into_iter().filter(|f| f.outcome != Outcome::Passed).collect();
    assert_eq!(lacking.len(), 1, "{lacking:#?}");
    let one = lacking.pop().unwrap();
    (one.predicate, one.outcome, one.problems.into_iter().map(|problem| problem.code).collect())
}

#[track_caller]
fn fails(change: impl FnOnce(&mut Evidence), predicate: Predicate, code: &str) {
    let mut evidence = good();
    change(&mut evidence);
    assert_eq!(only(&evidence), (predicate, Outcome::Failed, vec![code.to_owned()]));
}

fn source(evidence: &mut Evidence) -> &mut FlakeSource {
    evidence.claim.source.as_mut().unwrap()
}

#[test]
fn what_is_good_is_clean() {
    let report = judged(&good());
    assert!(report.findings.iter().all(|finding| finding.outcome == Outcome::Passed), "{report:#?}");
    assert!(report.is_clean() && report.obstacles().count() == 0);
}

#[test]
fn p1_the_source_is_pinned() {
    let p1 = Predicate::PinnedSource;
    fails(|e| e.claim.source = None, p1, "no-flake");
    fails(|e| source(e).locked["dirtyRev"] = json!(format!("{REV}-dirty")), p1, "dirty");
    fails(|e| source(e).locked["rev"] = json!(null), p1, "no-revision");
    fails(|e| source(e).locked["rev"] = json!("main"), p1, "no-revision");
    fails(|e| source(e).locked["narHash"] = json!("md5-x"), p1, "no-nar-hash");
    fails(|e| source(e).lock_digest = None, p1, "no-lock-file");
    fails(|e| source(e).locks = json!(null), p1, "no-locks");
    fails(|e| source(e).locks["nodes"]["nixpkgs"]["locked"] = json!(null), p1, "unlocked-input");
    fails(|e| source(e).locks["nodes"]["nixpkgs"]["locked"]["narHash"] = json!(null), p1, "unlocked-input");
    let absolute = json!({ "type": "path", "path": "/home/me/nixpkgs", "narHash": SRI });
    fails(|e| source(e).locks["nodes"]["nixpkgs"]["locked"] = absolute, p1, "input-scheme");
    let local = json!({ "type": "git", "url": "file:///home/me/r", "rev": REV, "narHash": SRI });
    fails(|e| source(e).locked = local, p1, "scheme");
    fails(|e| source(e).locked = json!({ "type": "path", "path": "/x", "narHash": SRI }), p1, "scheme");

    // A folder of the same repository needs no lock of its own.
    let mut within = good();
    source(&mut within).locks["nodes"]["nixpkgs"]["locked"] = json!({ "type": "path", "path": "./sub" });
    assert!(judged(&within).is_clean());
}

#[test]
fn p1_the_repository_is_one_of_the_policys() {
    let finding = |repositories: &str| {
        let rules = toml::from_str(&format!("repositories = {repositories}")).unwrap();
        source::pinned(&rules, good().claim.source.as_ref()).outcome
    };
    assert_eq!(finding("['github:o/*']"), Outcome::Passed);
    assert_eq!(finding("['github:other/*']"), Outcome::Failed);
}

#[test]
fn p2_the_evaluation_is_pure() {
    fails(|e| e.claim.evaluation.pure = false, Predicate::PureEvaluation, "impure");
    fails(|e| e.claim.evaluation.overrides = vec!["nixpkgs".into()], Predicate::PureEvaluation, "override");
}

#[test]
fn p3_derivations_stay_in_their_sandbox() {
    let flagged = || vec![(path('4', "x.drv"), "__noChroot".to_owned())];
    fails(|e| e.derivations.flagged = flagged(), Predicate::Hygiene, "flag");
    fails(|e| e.derivations.are_too_many = true, Predicate::Hygiene, "too-many-derivations");
    let rules = toml::from_str("require-sandbox = true").unwrap();
    let mut evidence = good();
    assert_eq!(derivation::hygiene(&rules, &evidence).outcome, Outcome::Failed);
    evidence.claim.evaluation.sandbox = Some(true);
    assert_eq!(derivation::hygiene(&rules, &evidence).outcome, Outcome::Passed);
}

#[test]
fn p4_outputs_follow_from_the_derivation() {
    let p4 = Predicate::OutputsFollow;
    let outputs = |output| Some([("out".parse().unwrap(), output)].into());
    fails(|e| e.derivations.outputs = outputs(OutputPath::Known(path('9', "hello-1.0"))), p4, "wrong-output-path");
    fails(|e| e.derivations.outputs = outputs(OutputPath::Unknown), p4, "floating-output");
    fails(|e| e.derivations.outputs = Some([].into()), p4, "no-such-output");
    fails(|e| e.derivations.outputs = None, p4, "no-outputs");
    fails(|e| e.derivations.forged = vec![path('4', "x.drv")], p4, "forged-derivation");
    // Where it is allowed, the path must at least follow from the contents.
    let rules = toml::from_str("allow-floating = true").unwrap();
    let mut evidence = good();
    evidence.derivations.outputs = outputs(OutputPath::Unknown);
    let finding = derivation::outputs_follow(&rules, &evidence);
    assert_eq!((finding.outcome, finding.problems[0].code.as_str()), (Outcome::Failed, "not-content-addressed"));
}

#[test]
fn missing_evidence_is_waited_for() {
    let mut evidence = good();
    evidence.derivations.missing.insert(path('4', "x.drv"));
    evidence.derivations.outputs = None;
    let waiting: Vec<_> =
        judged(&evidence).findings.into_iter().filter(|finding| finding.outcome == Outcome::Waiting).collect();
    assert!(waiting.iter().map(|f| f.predicate).eq([Predicate::Hygiene, Predicate::OutputsFollow]), "{waiting:?}");
    assert!(waiting.iter().all(|finding| finding.problems[0].code == "no-derivation"));
}

#[test]
fn p5_the_closure_is_complete() {
    let p5 = Predicate::ClosureComplete;
    let mut evidence = good();
    evidence.closure.missing.insert(path('5', "gone"), Some(path('1', "hello-1.0")));
    assert_eq!(only(&evidence), (p5, Outcome::Waiting, vec!["missing-path".to_owned()]));
    assert!(!judged(&evidence).is_clean());
    let mut evidence = good();
    evidence.closure.unreachable.push("https://cache.example.org/".into());
    assert_eq!(only(&evidence), (p5, Outcome::Waiting, vec!["upstream-away".to_owned()]));
    fails(|e| e.closure.is_too_large = true, p5, "too-large");
}

#[test]
fn p6_bytes_are_what_they_were() {
    let p6 = Predicate::BytesVerified;
    let leaf = path('2', "leaf-1.0");
    let scan = |nar_hash, nar_size| Scan::Read { nar_hash, nar_size, secrets: vec![], mentions: [].into() };
    fails(|e| drop(e.scans.insert(leaf.clone(), scan(nar_hash(2), 100))), p6, "wrong-hash");
    fails(|e| drop(e.scans.insert(leaf.clone(), scan(nar_hash(1), 99))), p6, "wrong-hash");
    fails(|e| drop(e.scans.insert(leaf.clone(), Scan::Damaged)), p6, "damaged");
    fails(|e| drop(e.scans.remove(&leaf)), p6, "not-read");
    // What the builder has is not what the cache has.
    let out = "out".parse().unwrap();
    fails(|e| e.claim.outputs.get_mut(&out).unwrap().nar_hash = nar_hash(3), p6, "other-bytes");
    // What is in an upstream is not read here.
    let mut evidence = good();
    evidence.scans.remove(&leaf);
    let signature = formats::SecretKey::generate("u-1".parse().unwrap(), [1; 32]).sign("x");
    let origin = Origin::Upstream { url: "https://u/".into(), key: "u-1".parse().unwrap(), signature };
    evidence.closure.paths.get_mut(&leaf).unwrap().1 = origin;
    assert!(judged(&evidence).is_clean());
}

#[test]
fn p7_signatures_are_good() {
    let signed = |fact| vec![(path('2', "leaf-1.0"), "builder-1".parse().unwrap(), fact)];
    fails(|e| e.closure.signatures = signed(SignatureFact::Forged), Predicate::Signed, "forged-signature");
    fails(|e| e.closure.signatures = signed(SignatureFact::Unknown), Predicate::Signed, "foreign-signature");
    let mut evidence = good();
    evidence.closure.signatures = signed(SignatureFact::Good);
    assert!(judged(&evidence).is_clean());
    evidence.closure.signatures = signed(SignatureFact::Unknown);
    let rules = toml::from_str("allow-unknown = true").unwrap();
    assert_eq!(closure::signed(&rules, &evidence.closure).outcome, Outcome::Passed);
}

#[test]
fn p8_nothing_leaks() {
    let p8 = Predicate::NoLeakage;
    let leaf = path('2', "leaf-1.0");
    let scan = |secrets, mentions| Scan::Read { nar_hash: nar_hash(1), nar_size: 100, secrets, mentions };
    let secret = scan(vec![("an OpenSSH private key", 42)], [].into());
    fails(|e| drop(e.scans.insert(leaf.clone(), secret)), p8, "secret");
    let mention = scan(vec![], [*path('7', "x").hash()].into());
    fails(|e| drop(e.scans.insert(leaf.clone(), mention)), p8, "undeclared-reference");
    for name in ["x.drv", "nixpkgs-source", "hello-dirty-1", "x.check"] {
        let denied = path('5', name);
        let change = |e: &mut Evidence| {
            e.closure.paths.insert(denied.clone(), (info(&denied, &[]), Origin::Cache));
            e.scans.insert(denied.clone(), scan(vec![], [].into()));
        };
        fails(change, p8, "denied-name");
        let mut evidence = good();
        change(&mut evidence);
        let rules = toml::from_str(&format!("allow-names = ['{name}']")).unwrap();
        assert_eq!(closure::no_leakage(&rules, &evidence).outcome, Outcome::Passed);
    }
}

#[test]
fn p9_builder_and_ref_are_trusted() {
    let p9 = Predicate::TrustedBuilder;
    fails(|e| e.builder.subject = "me".into(), p9, "builder");
    fails(|e| e.builder.repository = Some("fork/r".into()), p9, "repository");
    fails(|e| e.builder.reference = Some("refs/pull/1/merge".into()), p9, "ref");
    fails(|e| e.builder.reference = None, p9, "ref");
}

#[test]
fn p10_builders_agree() {
    let p10 = Predicate::Corroborated;
    let root = path('1', "hello-1.0");
    fails(|e| drop(e.seen.pop()), p10, "too-few-builders");
    // The same builder twice is one builder.
    fails(|e| e.seen[1].builder = "ci-1".into(), p10, "too-few-builders");
    fails(|e| e.seen.push(seen(&root, "ci-3", 2, 30)), p10, "divergence");
    // About any path of the closure, not only about its roots.
    let leaf = path('2', "leaf-1.0");
    fails(|e| e.seen.extend([seen(&leaf, "ci-1", 1, 1), seen(&leaf, "ci-2", 2, 2)]), p10, "divergence");

    let resolved = |at| {
        let mut evidence = good();
        evidence.seen.push(seen(&root, "ci-3", 2, 30));
        let resolution = Resolution {
            nar_hash: nar_hash(1),
            reason: "ci-3 had a bad disk".into(),
            resolved_by: "ada".into(),
            at: Timestamp(at),
        };
        evidence.resolutions.push((*root.hash(), resolution));
        evidence
    };
    assert!(judged(&resolved(30)).findings.iter().all(|finding| finding.outcome == Outcome::Passed));
    // What is seen after it was settled is a disagreement again.
    assert_eq!(only(&resolved(29)).0, p10);
}

#[test]
fn p11_checks_are_green() {
    fails(|e| e.claim.checks.clear(), Predicate::Validated, "no-check");
    fails(|e| e.claim.checks[0].passed = false, Predicate::Validated, "check-failed");
}

#[test]
fn p11_may_ask_for_more_than_the_builders_word() {
    let key: formats::SecretKey = formats::SecretKey::generate("checks-1".parse().unwrap(), [1; 32]);
    let mut policy = Policy::new(rules());
    policy.rules.checks.keys = vec![key.public_key()];
    let attested = |passed: bool, by: &[&formats::KeyName]| Attested {
        name: "nix flake check".to_owned(),
        passed,
        signed_by: by.iter().map(|&name| name.clone()).collect(),
    };
    let said = |attested: Vec<Attested>| {
        let evidence = Evidence { attested, ..good() };
        let report = judge(&policy, &evidence, Sha256::from_bytes([0; 32]), Timestamp(0));
        let finding = report.finding(Predicate::Validated).unwrap();
        finding.problems.first().map(|problem| problem.code.clone())
    };
    assert_eq!(said(vec![]).as_deref(), Some("no-check"), "the builder's word is not enough");
    assert_eq!(said(vec![attested(true, &[])]).as_deref(), Some("no-check"), "nor that of somebody unknown");
    assert_eq!(said(vec![attested(true, &[key.name()])]), None);
    let both = vec![attested(true, &[key.name()]), attested(false, &[key.name()])];
    assert_eq!(said(both).as_deref(), Some("check-failed"));
}

#[test]
fn a_verdict_on_trial_waits_for_the_bytes() {
    let mut evidence = good();
    evidence.scans.clear();
    let judged =
        |evidence: &Evidence| ahead(judge(&Policy::new(rules()), evidence, Sha256::from_bytes([0; 32]), Timestamp(0)));
    let waits = |report: &Report| {
        let waiting = report.findings.iter().filter(|finding| finding.outcome != Outcome::Passed);
        waiting.map(|finding| (finding.predicate.code(), finding.outcome)).collect::<Vec<_>>()
    };
    assert_eq!(waits(&judged(&evidence)), [("P6", Outcome::Waiting), ("P8", Outcome::Waiting)]);
    let drv = path('7', "x.drv");
    evidence.closure.paths.insert(drv.clone(), (info(&drv, &[]), Origin::Cache));
    assert_eq!(waits(&judged(&evidence)), [("P6", Outcome::Waiting), ("P8", Outcome::Failed)]);
}

#[test]
fn p12_the_attribute_is_promoted() {
    let p12 = Predicate::EligibleClass;
    fails(|e| e.claim.attribute = None, p12, "no-attribute");
    fails(|e| e.claim.attribute = Some("devShells.x86_64-linux.default".into()), p12, "attribute");
    fails(|e| e.claim.derivation = path('3', "hello-tarball.drv"), p12, "denied-derivation");
}
