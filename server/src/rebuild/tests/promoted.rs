//! What was claimed, promoted, taken back and revoked, before and after the index is lost.

use std::time::Duration;

use database::{
    Claim, ClaimId, Member, Moved, NewClaim, NewRevision, NewToken, ObservedFact, PromotionFact, ResolvedFact,
    Standing, TokenRef, Verified,
};
use formats::{NarHash, SecretKey, Sha256};
use protocol::{
    Clock, Scope, Timestamp,
    promotion::{
        Builder, ClaimRequest, ClaimState, ClaimedOutput, Evaluation, Finding, Observation, Outcome, Predicate,
        PromotionManifest, Receipt, Report, Resolution, Revision, RevisionState, TagKind, Visibility,
    },
};

use super::world::{Kind, World, content, store_path};

const POLICY: [u8; 32] = [1; 32];

impl World {
    /// Records what has changed of promotion, as every handler does before it answers.
    async fn note(&self) {
        self.parts.journal.note_promotions(&*self.parts.database).await.unwrap();
    }

    async fn claim(&self, cache: &str, path: u8, builder: &str) -> Claim {
        let cache = self.cache(cache).await.unwrap();
        let output = ClaimedOutput { path: store_path(path), nar_hash: NarHash::digest_of(&content(path)) };
        let claim = ClaimRequest {
            attribute: Some("packages.x86_64-linux.it".to_owned()),
            system: "x86_64-linux".to_owned(),
            derivation: store_path(path),
            outputs: [("out".parse().unwrap(), output)].into(),
            source: None,
            evaluation: Evaluation::default(),
            checks: Vec::new(),
        };
        let builder = Builder { subject: builder.to_owned(), issuer: None, repository: None, reference: None };
        let digest = Sha256::digest_of(format!("{path} {}", builder.subject).as_bytes());
        let new = NewClaim { cache: cache.id, digest, claim, builder, now: self.clock.now() };
        let (claim, _) = self.parts.database.file_claim(&new).await.unwrap();
        self.note().await;
        claim
    }

    async fn settle(&self, state: ClaimState) -> Claim {
        let now = self.clock.now();
        let claim = self.parts.database.take_claim(now, now).await.unwrap().unwrap();
        let outcome = if state == ClaimState::Clean { Outcome::Passed } else { Outcome::Failed };
        let finding =
            |predicate| Finding { predicate, outcome, problems: Vec::new(), evidence: serde_json::Value::default() };
        let verified = Verified {
            state,
            reason: None,
            report: Some(Report {
                policy_version: "1".to_owned(),
                policy_digest: Sha256::from_bytes(POLICY),
                manifest_digest: Sha256::from_bytes([7; 32]),
                at: now,
                findings: Predicate::ALL.map(finding).into(),
            }),
            manifest: Some(PromotionManifest {
                store_dir: "/nix/store".parse().unwrap(),
                roots: claim.claim.outputs.values().map(|output| output.path.clone()).collect(),
                paths: Vec::new(),
            }),
            due_at: None,
            now,
        };
        self.parts.database.settle_claim(claim.id, &verified).await.unwrap();
        self.note().await;
        claim
    }

    async fn point(&self, tag: &str, kind: TagKind, expected: i64, claim: &Claim, path: u8, repeats: Option<i64>) {
        let member =
            Member { claim: claim.id, hash: *store_path(path).hash(), nar_hash: NarHash::digest_of(&content(path)) };
        let new = NewRevision {
            cache: claim.cache,
            tag: tag.parse().unwrap(),
            kind,
            visibility: Visibility::Internal,
            expected,
            revision: Revision {
                number: 0,
                state: RevisionState::Kept,
                claims: vec![claim.id.0],
                roots: vec![store_path(path)],
                is_publishable: true,
                policy_version: "1".to_owned(),
                policy_digest: Sha256::from_bytes(POLICY),
                findings: Vec::new(),
                moved_by: "ada".to_owned(),
                at: self.clock.now(),
                repeats,
                reason: repeats.map(|_| "back".to_owned()),
            },
            members: if repeats.is_some() { Vec::new() } else { vec![member] },
        };
        assert_eq!(self.parts.database.move_tag(&new).await.unwrap(), Moved::To(expected + 1));
        self.note().await;
    }

    /// All that the index shows of promotion.
    async fn told(&self) -> Vec<String> {
        let database = &*self.parts.database;
        let mut told = Vec::new();
        for cache in database.list_caches().await.unwrap() {
            let hashes: Vec<_> = (0..10).map(|path| *store_path(path).hash()).collect();
            told.push(format!("{:?}", database.observations(cache.id, &hashes).await.unwrap()));
            told.push(format!("{:?}", database.resolutions(cache.id, &hashes).await.unwrap()));
            let keys = database.find_promotion_keys(cache.id).await.unwrap();
            told.push(format!("{:?}", keys.iter().map(SecretKey::to_text).collect::<Vec<_>>()));
            for claim in database.list_claims(cache.id, None, 100).await.unwrap() {
                let Claim { id, state, reason, claim, builder, filed_at, report, .. } = claim;
                told.push(format!("{id:?} {state} {reason:?} {claim:?} {builder:?} {filed_at:?} {report:?}"));
                told.push(format!("{:?}", database.find_verdict(id, &Sha256::from_bytes(POLICY)).await.unwrap()));
            }
            for tag in database.list_tags(cache.id).await.unwrap() {
                let current = tag.current.map(|(_, revision)| revision);
                told.push(format!("{} {} {} {} {current:?}", tag.name, tag.kind, tag.visibility, tag.last_number));
                told.push(format!("{:?}", database.receipts(tag.id).await.unwrap()));
                for (id, revision) in database.revisions(tag.id, None, 100).await.unwrap() {
                    let mut shown = Vec::new();
                    for hash in &hashes {
                        shown.push(database.find_promoted_path(cache.id, id, hash).await.unwrap().map(|row| row.info));
                    }
                    told.push(format!("{revision:?} {shown:?}"));
                }
            }
        }
        told
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promotion_comes_back_as_it_was() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        comes_back(World::on(kind).await).await;
    }
}

async fn comes_back(mut world: World) {
    for cache in ["main", "other"] {
        world.create(cache).await;
        world.push(cache, 1, 1).await;
        world.push(cache, 2, 2).await;
    }
    // Of a cache that is deleted nothing comes back, not even into one of the same name.
    world.claim("other", 1, "ci-1").await;
    let gone = world.settle(ClaimState::Clean).await;
    world.point("stable", TagKind::Channel, 0, &gone, 1, None).await;
    world.delete("other").await;
    world.create("other").await;

    world.claim("main", 1, "ci-1").await;
    let first = world.settle(ClaimState::Clean).await;
    world.claim("main", 2, "ci-2").await;
    let second = world.settle(ClaimState::Clean).await;
    world.claim("main", 3, "ci-3").await;
    world.settle(ClaimState::Rejected).await;
    world.claim("main", 4, "ci-4").await;
    world.point("stable", TagKind::Channel, 0, &first, 1, None).await;
    world.point("stable", TagKind::Channel, 1, &second, 2, None).await;
    world.point("stable", TagKind::Channel, 2, &first, 1, Some(1)).await;
    world.point("stable", TagKind::Channel, 3, &second, 2, None).await;
    world.point("v1", TagKind::Release, 0, &first, 1, None).await;
    world.point("bad", TagKind::Channel, 0, &first, 1, None).await;
    say_more(&world, &first).await;
    let before = world.told().await;
    assert!(before.iter().any(|line| line.contains("Expired")) && before.iter().any(|line| line.contains("Revoked")));

    world.lose_index().await;
    let report = world.rebuild_with(|_| ()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.claims, report.tags), (4, 3));
    assert_eq!(world.told().await, before);
    // Once more, over what is there; and from what this index has recorded since.
    world.note().await;
    world.rebuild_with(|options| options.resume = true).await.unwrap();
    assert_eq!(world.told().await, before);
    world.lose_index().await;
    world.rebuild_with(|_| ()).await.unwrap();
    assert_eq!(world.told().await, before);
    let next = world.claim("main", 1, "ci-9").await;
    assert!(next.id > first.id.max(second.id).max(ClaimId(gone.id.0 + 3)), "no number is given twice");
}

/// Ends revisions, shows a tag, notes what left, rotates a key, and lets builders disagree.
async fn say_more(world: &World, first: &Claim) {
    let (database, journal) = (&*world.parts.database, &world.parts.journal);
    let main = world.cache("main").await.unwrap();
    let tag = async |name: &str| database.find_tag(main.id, &name.parse().unwrap()).await.unwrap().unwrap();
    let bad = tag("bad").await;
    database.end_revision(bad.current.unwrap().0, RevisionState::Revoked, Some("it was wrong")).await.unwrap();
    let stable = tag("stable").await;
    let (oldest, _) = database.revisions(stable.id, None, 100).await.unwrap().pop().unwrap();
    database.end_revision(oldest, RevisionState::Expired, None).await.unwrap();
    database.show_tag(stable.id, Visibility::Public).await.unwrap();
    let receipt = Receipt {
        id: 0,
        revision: 4,
        surface: "hub".to_owned(),
        url: None,
        manifest_digest: Sha256::from_bytes([3; 32]),
        exported_by: "ada".to_owned(),
        at: world.clock.now(),
    };
    database.record_receipt(stable.id, &receipt).await.unwrap();
    let key = |name: &str| SecretKey::generate(name.parse().unwrap(), rand::random());
    database.set_promotion_keys(main.id, &[key("main-promoted-2"), key("main-promoted-1")]).await.unwrap();
    world.note().await;
    // The release rests on a claim that is taken back.
    database.retract_claim(first.id, ClaimState::Revoked, "the key leaked").await.unwrap();
    world.note().await;

    let (seen, at) =
        (vec![Observation { path: store_path(1), nar_hash: NarHash::digest_of(b"other") }], world.clock.now());
    let said = ObservedFact { builder: "ci-5".to_owned(), seen: seen.clone(), at };
    journal.note_said(&main.name, PromotionFact::Observed(said)).await.unwrap();
    database.observe(main.id, "ci-5", &seen, at).await.unwrap();
    let resolution = Resolution {
        nar_hash: NarHash::digest_of(&content(1)),
        reason: "a bad disk".to_owned(),
        resolved_by: "ada".to_owned(),
        at,
    };
    let said = ResolvedFact { path: store_path(1), resolution: resolution.clone() };
    journal.note_said(&main.name, PromotionFact::Resolved(said)).await.unwrap();
    database.resolve(main.id, store_path(1).hash(), &resolution).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_a_view_has_a_key_that_nobody_trusts_by_mistake() {
    let mut world = World::new().await;
    world.create("main").await;
    let main = world.cache("main").await.unwrap();
    let key = SecretKey::generate("main-promoted-1".parse().unwrap(), [5; 32]);
    world.parts.database.set_promotion_keys(main.id, &[key]).await.unwrap();
    world.note().await;
    world.seal = crate::journal::Seal::of(b"another secret");
    world.lose_index().await;
    let report = world.rebuild_with(|_| ()).await.unwrap();
    let lost: Vec<_> = report.lost_keys.iter().map(|key| key.public.split_once(':').unwrap().0).collect();
    assert_eq!(lost, ["main", "main-promoted-1"]);
    let main = world.cache("main").await.unwrap();
    let keys = world.parts.database.find_promotion_keys(main.id).await.unwrap();
    assert_eq!(keys[0].name().as_str(), "main-promoted-rebuilt-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_stays_revoked() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let mut world = World::on(kind).await;
        world.create("main").await;
        let now = world.clock.now();
        let token = |id: &str, hours: u64| NewToken {
            id: id.to_owned(),
            subject: format!("of {id}"),
            scope: Scope::default(),
            created_at: now,
            expires_at: now.plus(Duration::from_secs(3600 * hours)),
            minted_by: "admin".to_owned(),
            parent: None,
            proof: None,
            revoked_at: None,
        };
        let (database, journal) = (&*world.parts.database, &world.parts.journal);
        for token in [token("good", 9), token("bad", 9), token("short", 1)] {
            database.register_token(&token).await.unwrap();
        }
        assert!(journal.revoke_token(database, "bad", now).await.unwrap());
        assert!(!journal.revoke_token(database, "bad", now).await.unwrap());
        journal.revoke_token(database, "short", now).await.unwrap();
        let from_elsewhere = NewToken { revoked_at: Some(now), ..token("elsewhere", 9) };
        assert!(journal.register_revoked(database, &from_elsewhere).await.unwrap());
        journal.revoke_subject(database, "mallory", now).await.unwrap();

        world.clock.advance(Duration::from_secs(7200));
        world.lose_index().await;
        let report = world.rebuild_with(|_| ()).await.unwrap();
        assert_eq!(report.revocations, 4, "one of them twice, and none of the token that has ended");
        let standing = async |id: &str, subject: &str, at: Timestamp| {
            let token = TokenRef { id: Some(id), subject, created_at: Some(at) };
            world.parts.database.token_standing(&token).await.unwrap()
        };
        assert_eq!(standing("good", "of good", now).await, Standing::Unregistered);
        assert_eq!(standing("bad", "of bad", now).await, Standing::Revoked);
        assert_eq!(standing("elsewhere", "of elsewhere", now).await, Standing::Revoked);
        assert_eq!(standing("x", "mallory", now).await, Standing::Revoked);
        assert_eq!(standing("y", "mallory", now.plus(Duration::from_secs(1))).await, Standing::Unregistered);
    }
}
