//! Pins.

use std::time::Duration;

use protocol::Timestamp;

use super::{
    Subject,
    fixtures::{NOW, cache, path_hash, push, shows, store_path},
};
use crate::{CacheId, NewPin, Pin};

checks![
    a_pin_is_listed_as_it_was_made,
    only_what_is_there_is_pinned,
    each_other_path_is_a_revision,
    the_same_path_renews_its_revision,
    so_many_revisions_are_kept,
    pins_run_out,
    pins_are_removed_by_name_or_by_revision,
    pinning_spares,
];

fn new(cache: CacheId, name: &str, path: &str) -> NewPin {
    NewPin {
        cache,
        name: name.to_owned(),
        path: store_path(path),
        keep: None,
        expires_at: None,
        pinned_by: None,
        now: NOW,
    }
}

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// The pins of a cache as name, revision and path.
async fn listed(db: &Subject, cache: CacheId) -> Vec<(String, u32, String)> {
    let pins = db.list_pins(cache, NOW).await.unwrap();
    pins.into_iter().map(|pin| (pin.name, pin.revision, pin.path.name().to_string())).collect()
}

fn expected(pins: &[(&str, u32, &str)]) -> Vec<(String, u32, String)> {
    pins.iter().map(|(name, revision, path)| ((*name).to_owned(), *revision, (*path).to_owned())).collect()
}

async fn a_pin_is_listed_as_it_was_made(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    push(&db, main, "x").await;
    let pin =
        NewPin { expires_at: Some(after(1)), pinned_by: Some("ci's \"own\"".to_owned()), ..new(main, "a pin ä", "x") };
    assert_eq!(db.add_pin(&pin).await.unwrap(), Some(1));
    let row = Pin {
        name: pin.name,
        revision: 1,
        path: store_path("x"),
        created_at: NOW,
        expires_at: pin.expires_at,
        pinned_by: pin.pinned_by,
    };
    assert_eq!(db.list_pins(main, NOW).await.unwrap(), [row]);
    assert!(db.list_pins(other, NOW).await.unwrap().is_empty());
}

async fn only_what_is_there_is_pinned(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    push(&db, other, "x").await;
    assert_eq!(db.add_pin(&new(main, "p", "x")).await.unwrap(), None);
    assert!(db.list_pins(main, NOW).await.unwrap().is_empty());
}

async fn each_other_path_is_a_revision(db: Subject) {
    let main = cache(&db, "main").await;
    for path in ["x", "y"] {
        push(&db, main, path).await;
    }
    for (at, path) in (1..).zip(["x", "y", "x"]) {
        assert_eq!(db.add_pin(&new(main, "p", path)).await.unwrap(), Some(at));
    }
    assert_eq!(db.add_pin(&new(main, "a", "y")).await.unwrap(), Some(1), "another name counts for itself");
    assert_eq!(listed(&db, main).await, expected(&[("a", 1, "y"), ("p", 1, "x"), ("p", 2, "y"), ("p", 3, "x")]));
}

async fn the_same_path_renews_its_revision(db: Subject) {
    let main = cache(&db, "main").await;
    push(&db, main, "x").await;
    for (now, expires_at, by) in [(NOW, Some(after(10)), "a"), (after(5), None, "b")] {
        let pin = NewPin { expires_at, now, pinned_by: Some(by.to_owned()), ..new(main, "p", "x") };
        assert_eq!(db.add_pin(&pin).await.unwrap(), Some(1));
    }
    let pins = db.list_pins(main, after(20)).await.unwrap();
    assert_eq!(pins.len(), 1);
    assert_eq!((pins[0].created_at, pins[0].expires_at, pins[0].pinned_by.as_deref()), (after(5), None, Some("b")));
}

async fn so_many_revisions_are_kept(db: Subject) {
    let main = cache(&db, "main").await;
    let names = ["a", "b", "c", "d", "e"];
    for path in names {
        push(&db, main, path).await;
    }
    db.add_pin(&new(main, "other", "a")).await.unwrap();
    for path in &names[..4] {
        db.add_pin(&new(main, "p", path)).await.unwrap();
    }
    let pin = NewPin { keep: Some(2), ..new(main, "p", "e") };
    assert_eq!(db.add_pin(&pin).await.unwrap(), Some(5));
    assert_eq!(listed(&db, main).await, expected(&[("other", 1, "a"), ("p", 4, "d"), ("p", 5, "e")]));
    // Its own revision is always kept.
    assert_eq!(db.add_pin(&NewPin { keep: Some(0), ..pin }).await.unwrap(), Some(5));
    assert_eq!(listed(&db, main).await, expected(&[("other", 1, "a"), ("p", 5, "e")]));
}

async fn pins_run_out(db: Subject) {
    let main = cache(&db, "main").await;
    push(&db, main, "x").await;
    for (name, expires_at) in [("short", Some(after(10))), ("long", Some(after(20))), ("ever", None)] {
        db.add_pin(&NewPin { expires_at, ..new(main, name, "x") }).await.unwrap();
    }
    let names = |pins: Vec<Pin>| pins.into_iter().map(|pin| pin.name).collect::<Vec<_>>();
    assert_eq!(names(db.list_pins(main, after(9)).await.unwrap()), ["ever", "long", "short"]);
    assert_eq!(names(db.list_pins(main, after(10)).await.unwrap()), ["ever", "long"]);
    assert_eq!(db.remove_expired_pins(after(10)).await.unwrap(), 1);
    assert_eq!(db.remove_expired_pins(after(10)).await.unwrap(), 0);
    assert_eq!(names(db.list_pins(main, NOW).await.unwrap()), ["ever", "long"]);
}

async fn pins_are_removed_by_name_or_by_revision(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    for path in ["x", "y"] {
        push(&db, main, path).await;
        push(&db, other, path).await;
    }
    for cache in [main, other] {
        for (name, path) in [("p", "x"), ("p", "y"), ("q", "x"), ("q", "y")] {
            db.add_pin(&new(cache, name, path)).await.unwrap();
        }
    }
    assert_eq!(db.remove_pin(main, "p", Some(1)).await.unwrap(), 1);
    assert_eq!(db.remove_pin(main, "p", Some(1)).await.unwrap(), 0);
    assert_eq!(db.remove_pin(main, "q", None).await.unwrap(), 2);
    assert_eq!(db.remove_pin(main, "none", None).await.unwrap(), 0);
    assert_eq!(listed(&db, main).await, expected(&[("p", 2, "y")]));
    assert_eq!(listed(&db, other).await.len(), 4);
}

async fn pinning_spares(db: Subject) {
    let main = cache(&db, "main").await;
    push(&db, main, "x").await;
    db.condemn_paths(main, &[(path_hash("x"), NOW)], NOW).await.unwrap();
    assert_eq!(db.add_pin(&new(main, "p", "x")).await.unwrap(), Some(1));
    assert_eq!(db.remove_paths(main, &[path_hash("x")], NOW, NOW).await.unwrap(), [false]);
    assert!(shows(&db, main, "x").await);
}
