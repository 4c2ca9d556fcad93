//! Claims, verdicts, tags and views.

use std::{sync::Arc, time::Duration};

use formats::{Sha256, StorePath};
use protocol::{
    Timestamp,
    promotion::{
        Builder, ClaimRequest, ClaimState, ClaimedOutput, Evaluation, Finding, Observation, Outcome, Predicate,
        Progress, PromotionManifest, Receipt, Report, Resolution, Revision, RevisionState, TagKind, Visibility,
    },
};

use super::{
    Subject,
    fixtures::{NOW, cache, key, nar_hash, path_hash, push, store_path},
};
use crate::{CacheId, Claim, ClaimId, Member, Moved, NewClaim, NewRevision, TagRow, Verified};

checks![
    a_claim_is_filed_once,
    a_claim_is_verified_by_one_at_a_time,
    a_verdict_is_never_changed,
    what_was_mended_is_clean_under_the_same_policy,
    what_was_taken_back_stays_so,
    builders_are_heard_and_settled,
    tags_move_by_compare_and_swap,
    of_two_who_move_a_tag_one_does,
    a_release_is_made_once,
    a_rollback_repeats_a_revision,
    a_view_shows_its_closure_and_nothing_else,
    a_damaged_member_hides_its_closure_only,
    an_ended_revision_keeps_nothing,
    keys_and_receipts_are_kept,
    a_path_can_be_explained,
];

const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn new_claim(cache: CacheId, name: &str, builder: &str) -> NewClaim {
    let output = ClaimedOutput { path: store_path(name), nar_hash: nar_hash(name) };
    let claim = ClaimRequest {
        attribute: None,
        system: "x86_64-linux".to_owned(),
        derivation: store_path(&format!("{name}.drv")),
        outputs: [("out".parse().unwrap(), output)].into(),
        source: None,
        evaluation: Evaluation::default(),
        checks: Vec::new(),
    };
    let builder = Builder { subject: builder.to_owned(), issuer: None, repository: None, reference: None };
    let digest = Sha256::digest_of(format!("{name} {}", builder.subject).as_bytes());
    NewClaim { cache, digest, claim, builder, now: NOW }
}

fn report(policy: u8, at: i64) -> Report {
    let findings = Predicate::ALL.map(|predicate| Finding {
        predicate,
        outcome: Outcome::Passed,
        problems: Vec::new(),
        evidence: Default::default(),
    });
    Report {
        policy_version: "1".to_owned(),
        policy_digest: Sha256::from_bytes([policy; 32]),
        manifest_digest: Sha256::from_bytes([7; 32]),
        at: Timestamp(at),
        findings: findings.into(),
    }
}

fn clean(policy: u8, at: i64) -> Verified {
    let manifest = PromotionManifest {
        store_dir: "/nix/store".parse().unwrap(),
        roots: [store_path("x")].into(),
        paths: Vec::new(),
    };
    Verified {
        state: ClaimState::Clean,
        reason: None,
        report: Some(report(policy, at)),
        manifest: Some(manifest),
        due_at: None,
        now: Timestamp(at),
    }
}

/// A claim that was found clean.
pub(super) async fn clean_claim(db: &Subject, cache: CacheId, name: &str) -> Claim {
    let (claim, _) = db.file_claim(&new_claim(cache, name, "ci")).await.unwrap();
    while let Some(taken) = db.take_claim(NOW, NOW.plus(MINUTE)).await.unwrap() {
        db.settle_claim(taken.id, &clean(1, NOW.0)).await.unwrap();
    }
    db.find_claim(cache, claim.id).await.unwrap().unwrap()
}

pub(super) fn revision(
    cache: CacheId,
    tag: &str,
    expected: i64,
    claims: &[&Claim],
    members: &[(&Claim, &str)],
) -> NewRevision {
    NewRevision {
        cache,
        tag: tag.parse().unwrap(),
        kind: TagKind::Channel,
        visibility: Visibility::Internal,
        expected,
        revision: Revision {
            number: 0,
            state: RevisionState::Kept,
            claims: claims.iter().map(|claim| claim.id.0).collect(),
            roots: Vec::new(),
            is_publishable: false,
            policy_version: "1".to_owned(),
            policy_digest: Sha256::from_bytes([1; 32]),
            findings: Vec::new(),
            moved_by: "ada".to_owned(),
            at: NOW,
            repeats: None,
            reason: None,
        },
        members: (members.iter())
            .map(|(claim, name)| Member { claim: claim.id, hash: path_hash(name), nar_hash: nar_hash(name) })
            .collect(),
    }
}

pub(super) async fn tag(db: &Subject, cache: CacheId, name: &str) -> TagRow {
    db.find_tag(cache, &name.parse().unwrap()).await.unwrap().unwrap()
}

/// Whether the view of a tag shows a path, by its hash and by the name of its NAR.
async fn shows(db: &Subject, cache: CacheId, of: &str, name: &str) -> bool {
    let Some((revision, _)) = tag(db, cache, of).await.current else { return false };
    let found = db.find_promoted_path(cache, revision, &path_hash(name)).await.unwrap();
    let file = formats::FileHash::digest_of(format!("{name} as a file").as_bytes());
    let nar = db.find_promoted_nar(cache, revision, &file).await.unwrap();
    assert_eq!(found.is_some(), nar.is_some());
    found.is_some()
}

async fn a_claim_is_filed_once(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let (first, is_new) = db.file_claim(&new_claim(a, "x", "ci")).await.unwrap();
    assert!(is_new && first.state == ClaimState::Filed && first.cache_name.as_str() == "a");
    let (again, is_new) = db.file_claim(&new_claim(a, "x", "ci")).await.unwrap();
    assert_eq!((again.id, is_new), (first.id, false));
    let (other, is_new) = db.file_claim(&new_claim(a, "x", "ci-2")).await.unwrap();
    assert!(is_new && other.id != first.id);
    db.file_claim(&new_claim(b, "x", "ci")).await.unwrap();
    assert_eq!(db.find_claim(a, first.id).await.unwrap().unwrap().claim, new_claim(a, "x", "ci").claim);
    assert!(db.find_claim(b, first.id).await.unwrap().is_none(), "a claim of another cache");
    let ids = |claims: Vec<Claim>| claims.into_iter().map(|claim| claim.id).collect::<Vec<_>>();
    assert_eq!(ids(db.list_claims(a, None, 10).await.unwrap()), [other.id, first.id]);
    assert_eq!(ids(db.list_claims(a, Some(other.id), 10).await.unwrap()), [first.id]);
    assert_eq!(ids(db.claims_of_path(a, &path_hash("x")).await.unwrap()), [other.id, first.id]);
    assert!(db.claims_of_path(a, &path_hash("y")).await.unwrap().is_empty());
}

async fn a_claim_is_verified_by_one_at_a_time(db: Subject) {
    let a = cache(&db, "a").await;
    db.file_claim(&new_claim(a, "x", "ci")).await.unwrap();
    db.file_claim(&new_claim(a, "y", "ci")).await.unwrap();
    let takers: Vec<_> = (0..6)
        .map(|_| {
            let db = Arc::clone(&db);
            tokio::spawn(async move { db.take_claim(NOW, NOW.plus(MINUTE)).await.unwrap().map(|claim| claim.id) })
        })
        .collect();
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.unwrap());
    }
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 2);
    let progress = Progress { paths: 1, of_paths: 2, bytes: 3, of_bytes: 4 };
    assert!(db.note_progress(taken[0], progress, NOW.plus(MINUTE * 2)).await.unwrap());
    let claim = db.find_claim(a, taken[0]).await.unwrap().unwrap();
    assert_eq!((claim.state, claim.progress), (ClaimState::Verifying, Some(progress)));
    // Who died holding it loses it, and who showed signs of life does not.
    let later = NOW.plus(MINUTE);
    assert_eq!(db.take_claim(later, later.plus(MINUTE)).await.unwrap().unwrap().id, taken[1]);
    assert!(db.take_claim(later, later.plus(MINUTE)).await.unwrap().is_none());
}

async fn a_verdict_is_never_changed(db: Subject) {
    let a = cache(&db, "a").await;
    let claim = clean_claim(&db, a, "x").await;
    assert_eq!((claim.state, claim.attempts), (ClaimState::Clean, 1));
    let verdict = |policy: u8| {
        let db = Arc::clone(&db);
        async move { db.find_verdict(claim.id, &Sha256::from_bytes([policy; 32])).await.unwrap() }
    };
    assert_eq!(verdict(1).await.unwrap().report, report(1, NOW.0));
    assert!(verdict(2).await.is_none());
    // Verified again: what was found of the same closure under the same policy stays, another policy has its own.
    for (policy, at) in [(1, NOW.0 + 5), (2, NOW.0 + 6)] {
        assert!(db.requeue_claim(claim.id, NOW).await.unwrap());
        let taken = db.take_claim(NOW, NOW.plus(MINUTE)).await.unwrap().unwrap();
        db.settle_claim(taken.id, &clean(policy, at)).await.unwrap();
    }
    assert_eq!(verdict(1).await.unwrap().report.at, NOW);
    assert_eq!(verdict(2).await.unwrap().report.at, Timestamp(NOW.0 + 6));
    // A stalled claim comes back when it is due.
    db.requeue_claim(claim.id, NOW).await.unwrap();
    db.take_claim(NOW, NOW.plus(MINUTE)).await.unwrap().unwrap();
    let due_at = Some(NOW.plus(MINUTE * 3));
    let stalled = Verified {
        state: ClaimState::Stalled,
        reason: Some("away".to_owned()),
        report: None,
        manifest: None,
        due_at,
        now: NOW,
    };
    db.settle_claim(claim.id, &stalled).await.unwrap();
    let found = db.find_claim(a, claim.id).await.unwrap().unwrap();
    assert_eq!((found.state, found.reason.as_deref()), (ClaimState::Stalled, Some("away")));
    assert!(found.report.is_some(), "what was found before is not forgotten");
    assert!(db.take_claim(NOW.plus(MINUTE * 2), NOW.plus(MINUTE * 9)).await.unwrap().is_none());
    assert!(db.take_claim(NOW.plus(MINUTE * 3), NOW.plus(MINUTE * 9)).await.unwrap().is_some());
}

async fn what_was_mended_is_clean_under_the_same_policy(db: Subject) {
    let a = cache(&db, "a").await;
    let (claim, _) = db.file_claim(&new_claim(a, "x", "ci")).await.unwrap();
    let mut damaged = clean(1, NOW.0);
    damaged.state = ClaimState::Rejected;
    damaged.report.as_mut().unwrap().findings[5].outcome = Outcome::Failed;
    let policy = Sha256::from_bytes([1; 32]);
    for (verified, is_clean) in [(&damaged, false), (&clean(1, NOW.0 + 5), true), (&damaged, true)] {
        db.requeue_claim(claim.id, NOW).await.unwrap();
        db.take_claim(NOW, NOW.plus(MINUTE)).await.unwrap().unwrap();
        db.settle_claim(claim.id, verified).await.unwrap();
        let found = db.find_verdict(claim.id, &policy).await.unwrap().unwrap();
        assert_eq!(found.report.is_clean(), is_clean);
        assert_eq!(db.find_claim(a, claim.id).await.unwrap().unwrap().state, verified.state);
    }
}

async fn what_was_taken_back_stays_so(db: Subject) {
    let a = cache(&db, "a").await;
    push(&db, a, "x").await;
    let claim = clean_claim(&db, a, "x").await;
    let moved = db.move_tag(&revision(a, "stable", 0, &[&claim], &[(&claim, "x")])).await.unwrap();
    assert_eq!(moved, Moved::To(1));
    assert!(shows(&db, a, "stable", "x").await);
    db.requeue_claim(claim.id, NOW).await.unwrap();
    db.take_claim(NOW, NOW.plus(MINUTE)).await.unwrap().unwrap();
    assert!(db.retract_claim(claim.id, ClaimState::Revoked, "bad").await.unwrap());
    assert!(!shows(&db, a, "stable", "x").await, "its closure leaves every view");
    assert!(!db.note_progress(claim.id, Progress::default(), NOW).await.unwrap());
    db.settle_claim(claim.id, &clean(3, NOW.0)).await.unwrap();
    assert!(!db.retract_claim(claim.id, ClaimState::Withdrawn, "no").await.unwrap());
    assert!(!db.requeue_claim(claim.id, NOW).await.unwrap());
    let found = db.find_claim(a, claim.id).await.unwrap().unwrap();
    assert_eq!((found.state, found.reason.as_deref()), (ClaimState::Revoked, Some("bad")));
    assert!(db.find_verdict(claim.id, &Sha256::from_bytes([3; 32])).await.unwrap().is_none());
    let moved = db.move_tag(&revision(a, "stable", 1, &[&claim], &[(&claim, "x")])).await.unwrap();
    assert_eq!(moved, Moved::Gone);
    assert_eq!(tag(&db, a, "stable").await.last_number, 1, "nothing of it stays");
}

async fn builders_are_heard_and_settled(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    db.file_claim(&new_claim(a, "x", "ci-1")).await.unwrap();
    let seen = |nar: &str| [Observation { path: store_path("x"), nar_hash: nar_hash(nar) }];
    db.observe(a, "ci-2", &seen("other"), NOW.plus(MINUTE)).await.unwrap();
    db.observe(a, "ci-2", &seen("other"), NOW.plus(MINUTE * 2)).await.unwrap();
    db.observe(b, "ci-3", &seen("x"), NOW).await.unwrap();
    let heard = db.observations(a, &[path_hash("x"), path_hash("y")]).await.unwrap();
    let heard: Vec<_> = heard.iter().map(|one| (one.builder.as_str(), one.nar_hash, one.at)).collect();
    assert_eq!(heard, [("ci-1", nar_hash("x"), NOW), ("ci-2", nar_hash("other"), NOW.plus(MINUTE))]);
    assert!(db.resolutions(a, &[path_hash("x")]).await.unwrap().is_empty());
    let settled = |reason: &str| Resolution {
        nar_hash: nar_hash("x"),
        reason: reason.to_owned(),
        resolved_by: "ada".to_owned(),
        at: NOW,
    };
    for reason in ["first", "second"] {
        db.resolve(a, &path_hash("x"), &settled(reason)).await.unwrap();
        let found = db.resolutions(a, &[path_hash("y"), path_hash("x")]).await.unwrap();
        assert_eq!(found, [(path_hash("x"), settled(reason))]);
    }
    assert!(db.resolutions(b, &[path_hash("x")]).await.unwrap().is_empty());
}

async fn tags_move_by_compare_and_swap(db: Subject) {
    let a = cache(&db, "a").await;
    let claim = clean_claim(&db, a, "x").await;
    let to = |expected| revision(a, "stable", expected, &[&claim], &[(&claim, "x")]);
    assert_eq!(db.move_tag(&to(1)).await.unwrap(), Moved::Elsewhere(0));
    assert!(db.list_tags(a).await.unwrap().is_empty(), "a refused move makes no tag");
    assert_eq!(db.move_tag(&to(0)).await.unwrap(), Moved::To(1));
    assert_eq!(db.move_tag(&to(0)).await.unwrap(), Moved::Elsewhere(1));
    let public = NewRevision { visibility: Visibility::Public, ..to(1) };
    assert_eq!(db.move_tag(&public).await.unwrap(), Moved::To(2));
    let found = tag(&db, a, "stable").await;
    let (_, current) = found.current.clone().unwrap();
    assert_eq!((found.visibility, found.last_number, current.number), (Visibility::Public, 2, 2));
    assert_eq!((current.moved_by.as_str(), &current.claims[..]), ("ada", &[claim.id.0][..]));
    assert!(db.show_tag(found.id, Visibility::LocalOnly).await.unwrap());
    assert_eq!(tag(&db, a, "stable").await.visibility, Visibility::LocalOnly);
    let numbers: Vec<_> =
        db.revisions(found.id, None, 10).await.unwrap().into_iter().map(|(_, one)| one.number).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(db.revisions(found.id, Some(2), 10).await.unwrap().len(), 1);
    let b = cache(&db, "b").await;
    assert!(db.find_tag(b, &"stable".parse().unwrap()).await.unwrap().is_none());
    // A claim of another cache is none of this one.
    let foreign = revision(b, "stable", 0, &[&claim], &[]);
    assert_eq!(db.move_tag(&foreign).await.unwrap(), Moved::Gone);
}

async fn of_two_who_move_a_tag_one_does(db: Subject) {
    let a = cache(&db, "a").await;
    let claim = clean_claim(&db, a, "x").await;
    for expected in 0..3 {
        let movers: Vec<_> = (0..4)
            .map(|_| {
                let (db, to) = (Arc::clone(&db), revision(a, "stable", expected, &[&claim], &[]));
                tokio::spawn(async move { db.move_tag(&to).await.unwrap() })
            })
            .collect();
        let mut done = Vec::new();
        for mover in movers {
            done.push(mover.await.unwrap());
        }
        let moved = done.iter().filter(|moved| **moved == Moved::To(expected + 1)).count();
        assert_eq!(moved, 1, "{done:?}");
    }
}

async fn a_release_is_made_once(db: Subject) {
    let a = cache(&db, "a").await;
    let claim = clean_claim(&db, a, "x").await;
    let release =
        |expected| NewRevision { kind: TagKind::Release, ..revision(a, "v1", expected, &[&claim], &[(&claim, "x")]) };
    assert_eq!(db.move_tag(&release(0)).await.unwrap(), Moved::To(1));
    assert_eq!(db.move_tag(&release(1)).await.unwrap(), Moved::Fixed);
    assert_eq!(db.move_tag(&revision(a, "v1", 1, &[&claim], &[])).await.unwrap(), Moved::Fixed);
    let (current, _) = tag(&db, a, "v1").await.current.unwrap();
    assert!(db.end_revision(current, RevisionState::Revoked, Some("bad")).await.unwrap());
    assert_eq!(db.move_tag(&release(1)).await.unwrap(), Moved::Fixed, "its name is used up");
}

async fn a_rollback_repeats_a_revision(db: Subject) {
    let a = cache(&db, "a").await;
    push(&db, a, "x").await;
    push(&db, a, "y").await;
    let (x, y) = (clean_claim(&db, a, "x").await, clean_claim(&db, a, "y").await);
    db.move_tag(&revision(a, "stable", 0, &[&x], &[(&x, "x")])).await.unwrap();
    db.move_tag(&revision(a, "stable", 1, &[&y], &[(&y, "y")])).await.unwrap();
    assert!(!shows(&db, a, "stable", "x").await && shows(&db, a, "stable", "y").await);
    let mut kept = vec![path_hash("x"), path_hash("y")];
    kept.sort_unstable_by_key(|hash| *hash.as_bytes());
    assert_eq!(db.promoted_paths(a, None, 10).await.unwrap(), kept, "what can be gone back to is kept");
    assert_eq!(db.promoted_paths(a, Some(kept[0]), 10).await.unwrap(), kept[1..]);
    let mut back = revision(a, "stable", 2, &[&x], &[]);
    back.revision.repeats = Some(1);
    back.revision.reason = Some("y is slow".to_owned());
    assert_eq!(db.move_tag(&back).await.unwrap(), Moved::To(3));
    assert!(shows(&db, a, "stable", "x").await && !shows(&db, a, "stable", "y").await);
    let (_, current) = tag(&db, a, "stable").await.current.unwrap();
    assert_eq!((current.repeats, current.reason.as_deref()), (Some(1), Some("y is slow")));
    back.expected = 3;
    back.revision.repeats = Some(9);
    assert_eq!(db.move_tag(&back).await.unwrap(), Moved::Gone);
}

async fn a_view_shows_its_closure_and_nothing_else(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    push(&db, a, "x").await;
    push(&db, a, "other").await;
    let claim = clean_claim(&db, a, "x").await;
    let view = |name: &str| {
        let (db, name) = (Arc::clone(&db), name.to_owned());
        async move { db.find_view(&name.parse().unwrap(), &"stable".parse().unwrap()).await.unwrap() }
    };
    assert!(view("a").await.is_none());
    db.move_tag(&revision(a, "stable", 0, &[&claim], &[(&claim, "x"), (&claim, "gone")])).await.unwrap();
    let found = view("a").await.unwrap();
    assert_eq!((found.cache.id, found.visibility, found.keys.len()), (a, Visibility::Internal, 0));
    assert!(view("b").await.is_none() && view("none").await.is_none());
    db.promotion_keys(a, &key("a-promoted-1")).await.unwrap();
    assert_eq!(view("a").await.unwrap().keys[0].name().as_str(), "a-promoted-1");
    assert!(shows(&db, a, "stable", "x").await);
    assert!(!shows(&db, a, "stable", "other").await && !shows(&db, a, "stable", "gone").await);
    assert!(db.find_promoted_path(b, found.revision.unwrap(), &path_hash("x")).await.unwrap().is_none());
    // Another NAR than the one that was verified is not shown.
    let mut other = revision(a, "stable", 1, &[&claim], &[(&claim, "x")]);
    other.members[0].nar_hash = nar_hash("other");
    db.move_tag(&other).await.unwrap();
    assert!(!shows(&db, a, "stable", "x").await);
    db.delete_cache(&"a".parse().unwrap(), NOW).await.unwrap();
    assert!(view("a").await.is_none());
}

async fn a_damaged_member_hides_its_closure_only(db: Subject) {
    let a = cache(&db, "a").await;
    for name in ["x", "y", "shared", "leaf"] {
        push(&db, a, name).await;
    }
    let (x, y) = (clean_claim(&db, a, "x").await, clean_claim(&db, a, "y").await);
    let members = [(&x, "x"), (&x, "leaf"), (&x, "shared"), (&y, "y"), (&y, "shared")];
    db.move_tag(&revision(a, "stable", 0, &[&x, &y], &members)).await.unwrap();
    let shown = || {
        let db = Arc::clone(&db);
        async move {
            let mut shown = Vec::new();
            for name in ["x", "leaf", "shared", "y"] {
                if shows(&db, a, "stable", name).await {
                    shown.push(name);
                }
            }
            shown
        }
    };
    assert_eq!(shown().await, ["x", "leaf", "shared", "y"]);
    let leaf = db.find_nar_by_path(a, &path_hash("leaf")).await.unwrap().unwrap();
    db.quarantine_nar(leaf.id, NOW).await.unwrap();
    assert_eq!(shown().await, ["shared", "y"], "what another whole closure has stays");
    let shared = db.find_nar_by_path(a, &path_hash("shared")).await.unwrap().unwrap();
    db.quarantine_nar(shared.id, NOW).await.unwrap();
    assert!(shown().await.is_empty());
}

async fn an_ended_revision_keeps_nothing(db: Subject) {
    let a = cache(&db, "a").await;
    push(&db, a, "x").await;
    let claim = clean_claim(&db, a, "x").await;
    for expected in 0..2 {
        db.move_tag(&revision(a, "stable", expected, &[&claim], &[(&claim, "x")])).await.unwrap();
    }
    let stable = tag(&db, a, "stable").await;
    let ids: Vec<_> = db.revisions(stable.id, None, 10).await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert!(!db.end_revision(ids[0], RevisionState::Expired, None).await.unwrap(), "the current one does not expire");
    assert_eq!(db.promotions_of_path(a, &path_hash("x")).await.unwrap().len(), 2);
    assert!(db.end_revision(ids[1], RevisionState::Expired, None).await.unwrap());
    assert!(!db.end_revision(ids[1], RevisionState::Expired, None).await.unwrap());
    assert!(shows(&db, a, "stable", "x").await);
    let promoted = db.promotions_of_path(a, &path_hash("x")).await.unwrap();
    assert_eq!(promoted.iter().map(|one| (one.revision, one.is_current)).collect::<Vec<_>>(), [(2, true)]);
    assert!(db.end_revision(ids[0], RevisionState::Revoked, Some("bad")).await.unwrap());
    assert!(tag(&db, a, "stable").await.current.is_none());
    assert!(db.promotions_of_path(a, &path_hash("x")).await.unwrap().is_empty());
    let states: Vec<_> =
        db.revisions(stable.id, None, 10).await.unwrap().into_iter().map(|(_, one)| one.state).collect();
    assert_eq!(states, [RevisionState::Revoked, RevisionState::Expired]);
}

async fn keys_and_receipts_are_kept(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let name = |keys: &[formats::SecretKey]| keys.iter().map(|key| key.name().to_string()).collect::<Vec<_>>();
    assert_eq!(name(&db.promotion_keys(a, &key("k-1")).await.unwrap()), ["k-1"]);
    assert_eq!(name(&db.promotion_keys(a, &key("k-2")).await.unwrap()), ["k-1"], "the first one stays");
    db.set_promotion_keys(a, &[key("k-2"), key("k-1")]).await.unwrap();
    assert_eq!(name(&db.promotion_keys(a, &key("k-3")).await.unwrap()), ["k-2", "k-1"]);
    assert_eq!(name(&db.promotion_keys(b, &key("k-4")).await.unwrap()), ["k-4"]);

    let claim = clean_claim(&db, a, "x").await;
    db.move_tag(&revision(a, "stable", 0, &[&claim], &[])).await.unwrap();
    let stable = tag(&db, a, "stable").await;
    let receipt = |surface: &str| Receipt {
        id: 0,
        revision: 1,
        surface: surface.to_owned(),
        url: Some("https://x/".to_owned()),
        manifest_digest: Sha256::from_bytes([3; 32]),
        exported_by: "ada".to_owned(),
        at: NOW,
    };
    let first = db.record_receipt(stable.id, &receipt("one")).await.unwrap();
    let second = db.record_receipt(stable.id, &receipt("two")).await.unwrap();
    assert_eq!(db.receipts(stable.id).await.unwrap(), [second, first]);
}

async fn a_path_can_be_explained(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let nar = push(&db, a, "x").await;
    db.commit(&crate::Commit {
        paths: vec![super::fixtures::path(b, "x", &super::fixtures::whole(b, "x").nars[0])],
        ..crate::Commit::default()
    })
    .await
    .unwrap();
    let held = db.holdings(&path_hash("x")).await.unwrap();
    let caches: Vec<_> = held.iter().map(|(path, one)| (path.clone(), one.cache.to_string())).collect();
    let x: StorePath = store_path("x");
    assert_eq!(caches, [(x.clone(), "a".to_owned()), (x, "b".to_owned())]);
    assert!(held.iter().all(|(_, one)| one.quarantined_at.is_none() && one.nar_hash == nar.nar_hash));
    db.quarantine_nar(nar.id, NOW).await.unwrap();
    let held = db.holdings(&path_hash("x")).await.unwrap();
    assert!(held.iter().all(|(_, one)| one.quarantined_at == Some(NOW)), "what is hidden is explained");
    assert!(db.holdings(&path_hash("y")).await.unwrap().is_empty());
    assert!(db.promotions_of_path(a, &path_hash("x")).await.unwrap().is_empty());
    assert!(db.find_claim(a, ClaimId(99)).await.unwrap().is_none());
}
