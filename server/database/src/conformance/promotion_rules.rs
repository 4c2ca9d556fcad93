//! Policies of caches, and attestations.

use protocol::{
    Timestamp,
    promotion::{CachePolicy, Envelope, EnvelopeSignature, SentAttestation},
};

use super::{
    Subject,
    fixtures::{NOW, cache},
    promotion::new_claim,
};

checks![of_two_who_set_a_policy_one_does, attestations_are_kept_once,];

fn policy(number: i64, version: &str) -> CachePolicy {
    CachePolicy { number, rules: Some(version.into()), set_by: "ada".to_owned(), at: NOW }
}

async fn of_two_who_set_a_policy_one_does(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    assert_eq!(db.policies(main, 10).await.unwrap(), []);
    assert!(db.set_policy(main, &policy(1, "a")).await.unwrap());
    assert!(!db.set_policy(main, &policy(1, "b")).await.unwrap(), "the number is taken");
    assert!(db.set_policy(main, &policy(1, "a")).await.unwrap(), "the same once more is the same");
    let unset = CachePolicy { rules: None, ..policy(2, "") };
    assert!(db.set_policy(main, &unset).await.unwrap());
    assert!(!db.set_policy(main, &policy(1, "c")).await.unwrap());
    assert_eq!(db.policies(main, 10).await.unwrap(), [unset.clone(), policy(1, "a")]);
    assert_eq!(db.policies(main, 1).await.unwrap(), [unset]);
    assert_eq!(db.policies(other, 10).await.unwrap(), []);
}

async fn attestations_are_kept_once(db: Subject) {
    let main = cache(&db, "main").await;
    let (claim, _) = db.file_claim(&new_claim(main, "a", "ci")).await.unwrap();
    let sent = |payload: &str, at: i64| SentAttestation {
        envelope: Envelope {
            payload_type: "a/b".to_owned(),
            payload: payload.to_owned(),
            signatures: vec![EnvelopeSignature { keyid: "k".to_owned(), sig: "s".to_owned() }],
        },
        sent_by: "ci".to_owned(),
        at: Timestamp(at),
    };
    assert_eq!(db.attestations(claim.id).await.unwrap(), []);
    for one in [sent("x", 2), sent("y", 1), sent("x", 3)] {
        db.attest(claim.id, &one).await.unwrap();
    }
    assert_eq!(db.attestations(claim.id).await.unwrap(), [sent("y", 1), sent("x", 2)]);
}
