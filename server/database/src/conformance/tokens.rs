//! The registry of tokens.

use std::time::Duration;

use protocol::{Claims, Permission, Permissions, Scope, Timestamp};

use super::{Subject, fixtures::NOW};
use crate::{NewToken, Standing, TokenFilter, TokenRef, TokenRow};

checks![
    a_token_is_found_as_it_was_written,
    an_id_and_a_proof_are_taken_once,
    one_of_many_gets_the_proof,
    a_revoked_token_has_no_standing,
    a_subject_is_revoked_with_what_was_made_elsewhere,
    a_token_is_known_by_what_it_says,
    pages_of_tokens_follow_on_one_another,
    lists_are_narrowed,
    use_is_noted_and_never_goes_back,
    ended_tokens_are_forgotten,
];

const DAY: Duration = Duration::from_secs(86400);

fn token(id: &str, subject: &str, expires_at: Timestamp) -> NewToken {
    let grants = [
        ("team-*".parse().unwrap(), [Permission::Pull, Permission::Push].into_iter().collect()),
        ("main".parse().unwrap(), Permissions::NONE.with(Permission::ManageTokens)),
    ];
    NewToken {
        id: id.to_owned(),
        subject: subject.to_owned(),
        scope: Scope::granting(&grants),
        created_at: NOW,
        expires_at,
        minted_by: "somebody".to_owned(),
        parent: Some("parent".to_owned()),
        proof: None,
        revoked_at: None,
    }
}

async fn standing(db: &Subject, id: Option<&str>, subject: &str, created_at: Option<Timestamp>) -> Standing {
    let token = TokenRef { id, subject, created_at };
    db.token_standing(&token).await.unwrap()
}

fn ids(rows: &[TokenRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

async fn a_token_is_found_as_it_was_written(db: Subject) {
    let new = token("a", "ci's \"own\"\nä", NOW.plus(DAY));
    assert!(db.register_token(&new).await.unwrap());
    let row = db.find_token("a").await.unwrap().unwrap();
    let NewToken { id, subject, scope, created_at, expires_at, minted_by, parent, .. } = new;
    let (last_used_at, revoked_at) = (None, None);
    let expected = TokenRow { id, subject, scope, created_at, expires_at, minted_by, parent, last_used_at, revoked_at };
    assert_eq!(row, expected);
    assert!(db.find_token("b").await.unwrap().is_none());
    assert_eq!(standing(&db, Some("a"), "anything", None).await, Standing::Registered);
    assert_eq!(standing(&db, Some("b"), "anything", None).await, Standing::Unregistered);
    assert_eq!(standing(&db, None, "anything", None).await, Standing::Unregistered);
}

async fn an_id_and_a_proof_are_taken_once(db: Subject) {
    let first = NewToken { proof: Some([1; 32]), ..token("a", "one", NOW) };
    assert!(db.register_token(&first).await.unwrap());
    assert!(!db.register_token(&token("a", "two", NOW)).await.unwrap());
    assert_eq!(db.find_token("a").await.unwrap().unwrap().subject, "one");
    assert!(!db.register_token(&NewToken { id: "b".to_owned(), ..first.clone() }).await.unwrap());
    assert!(db.find_token("b").await.unwrap().is_none());
    assert!(db.register_token(&NewToken { id: "c".to_owned(), proof: Some([2; 32]), ..first }).await.unwrap());
}

async fn one_of_many_gets_the_proof(db: Subject) {
    let tasks: Vec<_> = (0..8)
        .map(|at| {
            let db = db.clone();
            let new = NewToken { proof: Some([7; 32]), ..token(&format!("t{at}"), "ci", NOW) };
            tokio::spawn(async move { db.register_token(&new).await.unwrap() })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += u32::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

async fn a_revoked_token_has_no_standing(db: Subject) {
    for id in ["a", "b"] {
        db.register_token(&token(id, "ci", NOW.plus(DAY))).await.unwrap();
    }
    assert!(db.revoke_token("a", NOW).await.unwrap());
    assert_eq!(standing(&db, Some("a"), "ci", Some(NOW)).await, Standing::Revoked);
    assert_eq!(standing(&db, Some("b"), "ci", Some(NOW)).await, Standing::Registered);
    assert_eq!(db.find_token("a").await.unwrap().unwrap().revoked_at, Some(NOW));
    // The first time counts.
    assert!(!db.revoke_token("a", NOW.plus(DAY)).await.unwrap());
    assert_eq!(db.find_token("a").await.unwrap().unwrap().revoked_at, Some(NOW));
    assert!(!db.revoke_token("unknown", NOW).await.unwrap());
    db.register_token(&NewToken { revoked_at: Some(NOW), ..token("c", "leaked", NOW) }).await.unwrap();
    assert_eq!(standing(&db, Some("c"), "leaked", Some(NOW)).await, Standing::Revoked);
}

async fn a_subject_is_revoked_with_what_was_made_elsewhere(db: Subject) {
    for (id, subject) in [("a", "ci"), ("b", "ci"), ("c", "other")] {
        db.register_token(&token(id, subject, NOW.plus(DAY))).await.unwrap();
    }
    db.register_token(&token("ended", "ci", NOW.minus(DAY))).await.unwrap();
    db.revoke_token("a", NOW).await.unwrap();
    let now = NOW.plus(Duration::from_secs(60));
    assert_eq!(db.revoke_subject("ci", now).await.unwrap(), 1);
    for (id, expected) in [("a", Standing::Revoked), ("b", Standing::Revoked), ("c", Standing::Registered)] {
        assert_eq!(standing(&db, Some(id), "ci", Some(NOW)).await, expected, "{id}");
    }
    // What is not in the registry is known by its subject, and by when it says that it was made.
    for (made, expected) in [
        (None, Standing::Revoked),
        (Some(NOW), Standing::Revoked),
        (Some(now), Standing::Revoked),
        (Some(Timestamp(now.0 + 1)), Standing::Unregistered),
    ] {
        assert_eq!(standing(&db, None, "ci", made).await, expected, "{made:?}");
        assert_eq!(standing(&db, Some("unknown"), "ci", made).await, expected, "{made:?}");
        assert_eq!(standing(&db, None, "other", made).await, Standing::Unregistered);
    }
    // A token that is made here right afterwards is good.
    db.register_token(&NewToken { created_at: now, ..token("new", "ci", now.plus(DAY)) }).await.unwrap();
    assert_eq!(standing(&db, Some("new"), "ci", Some(now)).await, Standing::Registered);
    // An earlier time takes nothing back, a later one adds.
    db.revoke_subject("ci", NOW).await.unwrap();
    assert_eq!(standing(&db, None, "ci", Some(now)).await, Standing::Revoked);
    db.revoke_subject("ci", now.plus(DAY)).await.unwrap();
    assert_eq!(standing(&db, None, "ci", Some(Timestamp(now.0 + 1))).await, Standing::Revoked);
    assert_eq!(standing(&db, Some("new"), "ci", Some(now)).await, Standing::Revoked);
}

async fn a_token_is_known_by_what_it_says(db: Subject) {
    let claims = Claims {
        sub: "ci".to_owned(),
        exp: Timestamp(9),
        nbf: Some(Timestamp(3)),
        iat: Some(Timestamp(2)),
        jti: Some("a".to_owned()),
        iss: None,
        scope: Scope::default(),
    };
    let known = TokenRef::from(&claims);
    assert_eq!(known, TokenRef { id: Some("a"), subject: "ci", created_at: Some(Timestamp(2)) });
    db.register_token(&token("a", "ci", NOW.plus(DAY))).await.unwrap();
    assert_eq!(db.token_standing(&known).await.unwrap(), Standing::Registered);
    let without_iat = Claims { iat: None, ..claims };
    assert_eq!(TokenRef::from(&without_iat).created_at, Some(Timestamp(3)));
}

async fn pages_of_tokens_follow_on_one_another(db: Subject) {
    // Several end at the same time.
    for at in 0..25_u64 {
        let ends = NOW.plus(Duration::from_secs(at / 4));
        db.register_token(&token(&format!("t{at:02}"), if at % 2 == 0 { "even" } else { "odd" }, ends)).await.unwrap();
    }
    for subject in [None, Some("odd")] {
        let filter = TokenFilter { subject: subject.map(str::to_owned), ..TokenFilter::default() };
        let (mut seen, mut mark) = (Vec::new(), None);
        loop {
            let page = db.list_tokens(&filter, mark.as_ref(), 4).await.unwrap();
            let Some(last) = page.last() else { break };
            mark = Some(last.mark());
            seen.extend(page.into_iter().map(|row| row.id));
        }
        let expected = (0..25).filter(|at| subject.is_none() || at % 2 == 1).map(|at| format!("t{at:02}"));
        assert_eq!(seen, expected.collect::<Vec<_>>());
    }
}

async fn lists_are_narrowed(db: Subject) {
    for (id, days) in [("a", 1), ("b", 10), ("c", 20), ("d", 30)] {
        db.register_token(&token(id, "ci", NOW.plus(DAY * days))).await.unwrap();
    }
    db.revoke_token("b", NOW).await.unwrap();
    let list = async |filter: TokenFilter| db.list_tokens(&filter, None, 10).await.unwrap();
    let all = TokenFilter { with_revoked: true, ..TokenFilter::default() };
    assert_eq!(ids(&list(TokenFilter::default()).await), ["a", "c", "d"]);
    assert_eq!(ids(&list(all.clone()).await), ["a", "b", "c", "d"]);
    let from = Some(NOW.plus(DAY * 10));
    let before = Some(NOW.plus(DAY * 30));
    assert_eq!(ids(&list(TokenFilter { expires_from: from, ..all.clone() }).await), ["b", "c", "d"]);
    assert_eq!(ids(&list(TokenFilter { expires_from: from, expires_before: before, ..all.clone() }).await), ["b", "c"]);
    assert!(list(TokenFilter { subject: Some("other".to_owned()), ..all }).await.is_empty());
}

async fn use_is_noted_and_never_goes_back(db: Subject) {
    for id in ["a", "b"] {
        db.register_token(&token(id, "ci", NOW.plus(DAY))).await.unwrap();
    }
    let used = async |id: &str| db.find_token(id).await.unwrap().unwrap().last_used_at;
    db.touch_tokens(&["a".to_owned(), "unknown".to_owned()], NOW).await.unwrap();
    assert_eq!((used("a").await, used("b").await), (Some(NOW), None));
    let later = NOW.plus(DAY);
    let many: Vec<String> = (0..2500).map(|at| format!("x{at}")).chain(["a".to_owned(), "b".to_owned()]).collect();
    db.touch_tokens(&many, later).await.unwrap();
    db.touch_tokens(&["b".to_owned()], NOW).await.unwrap();
    assert_eq!((used("a").await, used("b").await), (Some(later), Some(later)));
    db.touch_tokens(&[], later).await.unwrap();
}

async fn ended_tokens_are_forgotten(db: Subject) {
    for (id, days) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        db.register_token(&token(id, "ci", NOW.plus(DAY * days))).await.unwrap();
    }
    let ended = NOW.plus(DAY * 4);
    assert_eq!(db.prune_tokens(ended, 2).await.unwrap(), 2);
    assert_eq!(db.prune_tokens(ended, 2).await.unwrap(), 1);
    assert_eq!(db.prune_tokens(ended, 2).await.unwrap(), 0);
    assert_eq!(ids(&db.list_tokens(&TokenFilter::default(), None, 10).await.unwrap()), ["d"]);
}
