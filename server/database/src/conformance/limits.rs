//! What caches may hold.

use super::{
    Subject,
    fixtures::{cache, commit_one, path, push, whole},
};
use crate::{CacheLimits, Commit};

checks![
    a_cache_has_no_limits_of_itself,
    limits_are_found_as_they_were_set,
    the_collector_is_told_of_sizes,
    every_nar_counts_once,
    a_hidden_nar_still_takes_its_space,
];

async fn a_cache_has_no_limits_of_itself(db: Subject) {
    let main = cache(&db, "main").await;
    assert_eq!(db.find_limits(main).await.unwrap(), CacheLimits::default());
    assert_eq!(db.used_bytes(main).await.unwrap(), 0);
}

async fn limits_are_found_as_they_were_set(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    let most = CacheLimits { max_size: Some(i64::MAX.unsigned_abs()), quota: Some(0), is_read_only: true };
    let all = [
        CacheLimits { max_size: Some(1 << 40), ..CacheLimits::default() },
        CacheLimits { quota: Some(1), ..CacheLimits::default() },
        CacheLimits { is_read_only: true, ..CacheLimits::default() },
        most,
        CacheLimits::default(),
    ];
    for limits in all {
        db.set_limits(main, &limits).await.unwrap();
        assert_eq!(db.find_limits(main).await.unwrap(), limits);
    }
    assert_eq!(db.find_limits(other).await.unwrap(), CacheLimits::default());
    let too_much = CacheLimits { quota: Some(u64::MAX), ..CacheLimits::default() };
    assert!(db.set_limits(main, &too_much).await.is_err());
    assert_eq!(db.find_limits(main).await.unwrap(), CacheLimits::default());
}

async fn the_collector_is_told_of_sizes(db: Subject) {
    let main = cache(&db, "main").await;
    cache(&db, "other").await;
    let limits = CacheLimits { max_size: Some(77), ..CacheLimits::default() };
    db.set_limits(main, &limits).await.unwrap();
    let sizes: Vec<_> = db.collected_caches().await.unwrap().into_iter().map(|cache| cache.max_size).collect();
    assert_eq!(sizes, [Some(77), None]);
}

async fn every_nar_counts_once(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    push(&db, main, "x").await;
    push(&db, main, "y").await;
    push(&db, other, "z").await;
    // Another path with the NAR of the first.
    let nar = whole(main, "x").nars.remove(0);
    commit_one(&db, &Commit { paths: vec![path(main, "same", &nar)], ..Commit::default() }).await;
    assert_eq!(db.used_bytes(main).await.unwrap(), 2000);
    assert_eq!(db.used_bytes(other).await.unwrap(), 1000);
}

async fn a_hidden_nar_still_takes_its_space(db: Subject) {
    let main = cache(&db, "main").await;
    let nar = push(&db, main, "x").await;
    db.quarantine_nar(nar.id, super::fixtures::NOW).await.unwrap();
    assert_eq!(db.used_bytes(main).await.unwrap(), 1000);
}
