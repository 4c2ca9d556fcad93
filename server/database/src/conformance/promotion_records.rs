//! What the storage is told of promotion, and what it tells back.

use protocol::promotion::{ClaimState, Receipt, RevisionState, Visibility};

use super::{
    Subject,
    fixtures::{NOW, cache, key, nar_hash, path_hash, push},
    promotion::{clean_claim, new_claim, revision, tag},
};
use crate::{PromotionFact, UnrecordedKind};

checks![what_changes_is_told_once, what_is_put_back_is_as_it_was, numbers_go_on_behind_those_that_were_put_back];

/// Everything that the storage was not told yet, which counts as told then.
async fn told(db: &Subject) -> Vec<(UnrecordedKind, Option<PromotionFact>)> {
    let mut facts = Vec::new();
    let waiting = db.unrecorded(1000).await.unwrap();
    for one in &waiting {
        facts.push((one.kind, db.promotion_fact(one).await.unwrap()));
    }
    db.forget_unrecorded(&waiting.iter().map(|one| one.id).collect::<Vec<_>>()).await.unwrap();
    assert!(db.unrecorded(1000).await.unwrap().is_empty());
    facts
}

async fn kinds(db: &Subject) -> Vec<UnrecordedKind> {
    told(db).await.into_iter().map(|(kind, _)| kind).collect()
}

async fn what_changes_is_told_once(db: Subject) {
    use UnrecordedKind::{Claim, Keys, Receipt as Left, Revision, Tag, Verdict};

    let a = cache(&db, "a").await;
    push(&db, a, "x").await;
    assert_eq!(kinds(&db).await, []);
    let claim = clean_claim(&db, a, "x").await;
    assert_eq!(kinds(&db).await, [Claim, Claim, Verdict]);
    assert!(!db.file_claim(&new_claim(a, "x", "ci")).await.unwrap().1);
    assert_eq!(kinds(&db).await, [], "it is the same claim");
    db.move_tag(&revision(a, "stable", 0, &[&claim], &[(&claim, "x")])).await.unwrap();
    let facts = told(&db).await;
    let [(Revision, Some(PromotionFact::Revision(moved))), (Tag, Some(PromotionFact::Tag(now)))] = &facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!((moved.tag.as_str(), moved.revision.number, moved.revision.state), ("stable", 1, RevisionState::Kept));
    assert_eq!(moved.members, [(claim.id.0, path_hash("x"), nar_hash("x"))]);
    assert_eq!((now.current, now.last_number, now.visibility), (Some(1), 1, Visibility::Internal));
    db.move_tag(&revision(a, "stable", 0, &[&claim], &[])).await.unwrap();
    assert_eq!(kinds(&db).await, [], "it stayed where it was");

    let row = tag(&db, a, "stable").await;
    db.show_tag(row.id, Visibility::Public).await.unwrap();
    let receipt = Receipt {
        id: 0,
        revision: 1,
        surface: "hub".to_owned(),
        url: None,
        manifest_digest: formats::Sha256::from_bytes([3; 32]),
        exported_by: "ada".to_owned(),
        at: NOW,
    };
    db.record_receipt(row.id, &receipt).await.unwrap();
    db.promotion_keys(a, &key("a-promoted-1")).await.unwrap();
    db.promotion_keys(a, &key("a-promoted-2")).await.unwrap();
    assert_eq!(kinds(&db).await, [Tag, Left, Keys]);
    assert_eq!(db.find_promotion_keys(a).await.unwrap().len(), 1);
    db.retract_claim(claim.id, ClaimState::Revoked, "it was wrong").await.unwrap();
    db.end_revision(row.current.unwrap().0, RevisionState::Revoked, Some("it was wrong")).await.unwrap();
    let facts = told(&db).await;
    let [
        (Claim, Some(PromotionFact::Claim(claim))),
        (Revision, Some(PromotionFact::Revision(ended))),
        (Tag, Some(PromotionFact::Tag(now))),
    ] = &facts[..]
    else {
        panic!("{facts:?}")
    };
    assert_eq!((claim.state, claim.reason.as_deref()), (ClaimState::Revoked, Some("it was wrong")));
    assert_eq!((ended.revision.state, ended.members.len(), now.current), (RevisionState::Revoked, 0, None));

    // A cache that is gone takes it along.
    clean_claim(&db, a, "y").await;
    db.delete_cache(&"a".parse().unwrap(), NOW).await.unwrap();
    assert_eq!(kinds(&db).await, []);
}

async fn what_is_put_back_is_as_it_was(db: Subject) {
    let a = cache(&db, "a").await;
    push(&db, a, "x").await;
    let claim = clean_claim(&db, a, "x").await;
    db.move_tag(&revision(a, "stable", 0, &[&claim], &[(&claim, "x")])).await.unwrap();
    let before = told(&db).await;
    let put_back = async || {
        for (_, fact) in &before {
            assert!(db.restore_promotion(a, fact.as_ref().unwrap()).await.unwrap());
        }
    };
    // Over what is there: nothing changes, and the storage need not be told.
    put_back().await;
    assert_eq!(told(&db).await.len(), 0);
    let row = tag(&db, a, "stable").await;
    let (current, now) = row.current.clone().unwrap();
    assert_eq!((row.last_number, now.number), (1, 1));
    assert!(db.find_promoted_path(a, current, &path_hash("x")).await.unwrap().is_some());

    // What was taken back since then stays so: its record comes last.
    db.retract_claim(claim.id, ClaimState::Revoked, "it was wrong").await.unwrap();
    let after = told(&db).await;
    put_back().await;
    for (_, fact) in &after {
        db.restore_promotion(a, fact.as_ref().unwrap()).await.unwrap();
    }
    assert!(db.find_promoted_path(a, current, &path_hash("x")).await.unwrap().is_none());
    assert_eq!(db.find_claim(a, claim.id).await.unwrap().unwrap().state, ClaimState::Revoked);
}

async fn numbers_go_on_behind_those_that_were_put_back(db: Subject) {
    let a = cache(&db, "a").await;
    let b = cache(&db, "b").await;
    clean_claim(&db, a, "x").await;
    let Some(PromotionFact::Claim(mut fact)) = told(&db).await.swap_remove(0).1 else { panic!("no claim") };
    fact.number = 1000;
    fact.digest = formats::Sha256::from_bytes([8; 32]);
    fact.state = ClaimState::Verifying;
    db.restore_promotion(a, &PromotionFact::Claim(fact)).await.unwrap();
    let restored = db.find_claim(a, crate::ClaimId(1000)).await.unwrap().unwrap();
    assert_eq!(restored.state, ClaimState::Filed, "whoever verified it is gone");
    assert_eq!(db.take_claim(NOW, NOW).await.unwrap().unwrap().id.0, 1000);
    let (next, _) = db.file_claim(&new_claim(b, "y", "ci")).await.unwrap();
    assert!(next.id.0 > 1000, "{next:?}");
}
