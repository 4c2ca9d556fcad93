//! Caches and their keys.

use formats::KeyName;

use super::{
    Subject,
    fixtures::{NOW, cache, key, new_cache, push, shows},
};
use crate::{Cache, CacheChange, Error, NewCache};

checks![
    a_cache_is_found_as_it_was_made,
    a_name_is_taken_once,
    caches_are_listed_by_name,
    only_what_is_named_changes,
    retention_goes_back_to_the_configuration,
    keys_are_replaced_in_their_order,
    the_last_key_stays,
    a_deleted_cache_frees_its_name_and_hides_its_paths,
    what_is_not_there_is_not_changed,
    the_database_answers,
];

/// What can be compared of a cache.
fn texts(cache: &Cache) -> (String, bool, String, i32, Vec<KeyName>, Option<u32>, Vec<String>) {
    (
        cache.name.to_string(),
        cache.is_public,
        cache.store_dir.to_string(),
        cache.priority,
        cache.upstream_key_names.clone(),
        cache.retention,
        cache.keys.iter().map(formats::SecretKey::to_text).collect(),
    )
}

fn rich(name: &str) -> NewCache {
    NewCache {
        is_public: true,
        store_dir: "/gnu/store".parse().unwrap(),
        priority: -7,
        upstream_key_names: vec!["cache.nixos.org-1".parse().unwrap(), "b".parse().unwrap(), "a".parse().unwrap()],
        retention: Some(u32::MAX),
        ..new_cache(name)
    }
}

async fn a_cache_is_found_as_it_was_made(db: Subject) {
    let new = rich("main");
    let made = db.create_cache(&new).await.unwrap().unwrap();
    let expected = (
        "main".to_owned(),
        true,
        "/gnu/store".to_owned(),
        -7,
        new.upstream_key_names.clone(),
        Some(u32::MAX),
        vec![new.key.to_text()],
    );
    assert_eq!(texts(&made), expected);
    let found = db.find_cache(&new.name).await.unwrap().unwrap();
    assert_eq!(texts(&found), expected);
    assert_eq!(found.id, made.id);

    let plain = db.create_cache(&new_cache("plain")).await.unwrap().unwrap();
    assert_ne!(plain.id, made.id);
    assert_eq!((plain.is_public, plain.retention, plain.upstream_key_names.len()), (false, None, 0));
}

async fn a_name_is_taken_once(db: Subject) {
    let first = cache(&db, "main").await;
    assert!(db.create_cache(&rich("main")).await.unwrap().is_none());
    let found = db.find_cache(&"main".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((found.id, found.priority, found.keys.len()), (first, 40, 1));
    assert!(db.find_cache(&"Main".parse().unwrap()).await.unwrap().is_none(), "names are compared byte by byte");
}

async fn caches_are_listed_by_name(db: Subject) {
    assert!(db.list_caches().await.unwrap().is_empty());
    for name in ["b", "c", "a", "gone"] {
        cache(&db, name).await;
    }
    db.delete_cache(&"gone".parse().unwrap(), NOW).await.unwrap();
    let names: Vec<_> = db.list_caches().await.unwrap().iter().map(|cache| cache.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

async fn only_what_is_named_changes(db: Subject) {
    let before = db.create_cache(&rich("main")).await.unwrap().unwrap();
    cache(&db, "other").await;
    let untouched = db.change_cache(&before.name, &CacheChange::default()).await.unwrap().unwrap();
    assert_eq!(texts(&untouched), texts(&before));

    let changes = [
        CacheChange { is_public: Some(false), ..CacheChange::default() },
        CacheChange { store_dir: Some("/s".parse().unwrap()), ..CacheChange::default() },
        CacheChange { priority: Some(0), ..CacheChange::default() },
        CacheChange { upstream_key_names: Some(Vec::new()), ..CacheChange::default() },
        CacheChange { retention: Some(Some(0)), ..CacheChange::default() },
    ];
    let mut expected = texts(&before);
    for (at, change) in changes.iter().enumerate() {
        match at {
            0 => expected.1 = false,
            1 => expected.2 = "/s".to_owned(),
            2 => expected.3 = 0,
            3 => expected.4 = Vec::new(),
            _ => expected.5 = Some(0),
        }
        let changed = db.change_cache(&before.name, change).await.unwrap().unwrap();
        assert_eq!(texts(&changed), expected, "{change:?}");
        assert_eq!(texts(&db.find_cache(&before.name).await.unwrap().unwrap()), expected);
    }
    let other = db.find_cache(&"other".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((other.priority, other.retention), (40, None));
}

async fn retention_goes_back_to_the_configuration(db: Subject) {
    let name = db.create_cache(&rich("main")).await.unwrap().unwrap().name;
    let change = CacheChange { retention: Some(None), ..CacheChange::default() };
    assert_eq!(db.change_cache(&name, &change).await.unwrap().unwrap().retention, None);
}

async fn keys_are_replaced_in_their_order(db: Subject) {
    let name = db.create_cache(&new_cache("main")).await.unwrap().unwrap().name;
    let names = ["z", "a", "m", "main"];
    let change = CacheChange { keys: Some(names.map(key).to_vec()), ..CacheChange::default() };
    let changed = db.change_cache(&name, &change).await.unwrap().unwrap();
    let found = db.find_cache(&name).await.unwrap().unwrap();
    let listed = db.list_caches().await.unwrap().remove(0);
    for cache in [changed, found, listed] {
        assert_eq!(cache.keys.iter().map(|key| key.name().as_str()).collect::<Vec<_>>(), names);
        assert_eq!(cache.keys[3].to_text(), key("main").to_text());
    }
    let change = CacheChange { keys: Some(vec![key("n")]), ..CacheChange::default() };
    assert_eq!(db.change_cache(&name, &change).await.unwrap().unwrap().keys.len(), 1);
}

async fn the_last_key_stays(db: Subject) {
    let name = db.create_cache(&new_cache("main")).await.unwrap().unwrap().name;
    let change = CacheChange { keys: Some(Vec::new()), priority: Some(1), ..CacheChange::default() };
    assert!(matches!(db.change_cache(&name, &change).await, Err(Error::Inconsistent { .. })));
    let cache = db.find_cache(&name).await.unwrap().unwrap();
    assert_eq!((cache.keys.len(), cache.priority), (1, 40));
}

async fn a_deleted_cache_frees_its_name_and_hides_its_paths(db: Subject) {
    let old = cache(&db, "main").await;
    let other = cache(&db, "other").await;
    push(&db, old, "x").await;
    push(&db, other, "y").await;
    let name = "main".parse().unwrap();
    assert!(db.delete_cache(&name, NOW).await.unwrap());
    assert!(!db.delete_cache(&name, NOW).await.unwrap());
    assert!(db.find_cache(&name).await.unwrap().is_none());
    assert!(!shows(&db, old, "x").await, "who still has the id sees nothing either");
    assert!(shows(&db, other, "y").await);

    let new = cache(&db, "main").await;
    assert_ne!(new, old);
    assert!(!shows(&db, new, "x").await);
    assert!(db.delete_cache(&name, NOW).await.unwrap());
    let totals = db.totals().await.unwrap();
    assert_eq!((totals.caches, totals.paths), (1, 1));
}

async fn what_is_not_there_is_not_changed(db: Subject) {
    let name = "main".parse().unwrap();
    assert!(db.find_cache(&name).await.unwrap().is_none());
    assert!(db.change_cache(&name, &CacheChange::default()).await.unwrap().is_none());
    let keys = CacheChange { keys: Some(vec![key("k")]), ..CacheChange::default() };
    assert!(db.change_cache(&name, &keys).await.unwrap().is_none());
    assert!(!db.delete_cache(&name, NOW).await.unwrap());
}

async fn the_database_answers(db: Subject) {
    db.ping().await.unwrap();
}
