//! Paths as a cache shows them.

use formats::{FileHash, StorePathHash};

use super::{
    Subject,
    fixtures::{NOW, cache, key, nar_hash, path_hash, push, shows},
};
use crate::CacheId;

checks![
    caches_show_their_own_paths_only,
    missing_paths_keep_their_order,
    many_paths_are_asked_for_at_once,
    a_nar_is_served_by_the_caches_that_show_it,
    signatures_are_added_once,
    what_is_not_shown_is_not_signed,
    paths_are_touched,
];

async fn caches_show_their_own_paths_only(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    push(&db, a, "x").await;
    assert!(shows(&db, a, "x").await);
    assert!(!shows(&db, a, "y").await);
    assert!(!shows(&db, b, "x").await);
    assert!(!shows(&db, CacheId(i64::MAX), "x").await);
    let nar = db.find_nar(&nar_hash("x")).await.unwrap().unwrap();
    assert_eq!(nar.id, db.find_nar_by_path(a, &path_hash("x")).await.unwrap().unwrap().id);
    assert!(db.find_nar(&nar_hash("y")).await.unwrap().is_none());
}

async fn missing_paths_keep_their_order(db: Subject) {
    let cache = cache(&db, "main").await;
    for name in ["a", "b", "c"] {
        push(&db, cache, name).await;
    }
    let asked = ["z", "a", "y", "z", "b", "x", "b", "c"].map(path_hash);
    let missing = db.missing_paths(cache, &asked).await.unwrap();
    assert_eq!(missing, ["z", "y", "z", "x"].map(path_hash));
    assert!(db.missing_paths(cache, &[]).await.unwrap().is_empty());
    assert!(db.missing_paths(cache, &["a", "a"].map(path_hash)).await.unwrap().is_empty());
}

async fn many_paths_are_asked_for_at_once(db: Subject) {
    let cache = cache(&db, "main").await;
    for name in ["p0", "p999", "p1000", "p9999"] {
        push(&db, cache, name).await;
    }
    let asked: Vec<StorePathHash> = (0..10_000).map(|at| path_hash(&format!("p{at}"))).collect();
    let missing = db.missing_paths(cache, &asked).await.unwrap();
    let expected: Vec<_> =
        (0..10_000).filter(|at| ![0, 999, 1000, 9999].contains(at)).map(|at: usize| asked[at]).collect();
    assert_eq!(missing, expected);
}

async fn a_nar_is_served_by_the_caches_that_show_it(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let nar = push(&db, a, "x").await;
    push(&db, b, "y").await;
    let found = db.find_nar_by_file_hash(a, &nar.file_hash).await.unwrap().unwrap();
    assert_eq!((found.id, found.nar_hash), (nar.id, nar.nar_hash));
    assert!(db.find_nar_by_file_hash(b, &nar.file_hash).await.unwrap().is_none());
    assert!(db.find_nar_by_file_hash(a, &FileHash::digest_of(b"other")).await.unwrap().is_none());
    db.delete_cache(&"a".parse().unwrap(), NOW).await.unwrap();
    assert!(db.find_nar_by_file_hash(a, &nar.file_hash).await.unwrap().is_none());
}

async fn signatures_are_added_once(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "x").await;
    push(&db, cache, "y").await;
    let hash = path_hash("x");
    let signatures = ["k2", "k1", "k3"].map(|name| key(name).sign("x"));
    assert!(db.add_signatures(cache, &hash, &signatures[..2]).await.unwrap());
    assert!(db.add_signatures(cache, &hash, &signatures).await.unwrap());
    assert!(db.add_signatures(cache, &hash, &signatures[1..]).await.unwrap());
    assert!(db.add_signatures(cache, &hash, &[]).await.unwrap());
    let row = db.find_path(cache, &hash).await.unwrap().unwrap();
    assert_eq!(row.info.signatures, signatures.into());
    assert!(db.find_path(cache, &path_hash("y")).await.unwrap().unwrap().info.signatures.is_empty());
}

async fn what_is_not_shown_is_not_signed(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let nar = push(&db, a, "x").await;
    let signatures = [key("k").sign("x")];
    assert!(!db.add_signatures(b, &path_hash("x"), &signatures).await.unwrap());
    assert!(!db.add_signatures(a, &path_hash("y"), &signatures).await.unwrap());
    db.quarantine_nar(nar.id, NOW).await.unwrap();
    assert!(!db.add_signatures(a, &path_hash("x"), &signatures).await.unwrap());
}

async fn paths_are_touched(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "x").await;
    let before = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    let mut used: Vec<_> = (0..2500).map(|at| (cache, path_hash(&format!("p{at}")))).collect();
    used.extend([(cache, path_hash("x")); 2]);
    db.touch_paths(&used, NOW).await.unwrap();
    db.touch_paths(&[], NOW).await.unwrap();
    let after = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(after.info, before.info, "what is shown does not depend on use");
    assert_eq!(db.totals().await.unwrap().paths, 1, "what is not there does not come by being used");
}
