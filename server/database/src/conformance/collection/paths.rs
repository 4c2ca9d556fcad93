//! Paths of caches: read page by page, condemned, spared, removed.

use std::{collections::BTreeSet, time::Duration};

use formats::StorePathHash;
use protocol::Timestamp;

use crate::{
    CacheId, CacheLimits, ChunkPointer, Commit, DocumentKind, NewDocument, NewPin, PathAge, PathReferences, PathWeight,
    conformance::{
        Subject,
        fixtures::{NOW, cache, commit_one, nar_hash, new_cache, path, path_hash, push, shows, store_path, whole},
    },
};

checks![
    deleted_caches_are_collected_too,
    paths_are_read_page_by_page,
    a_path_does_not_refer_to_itself,
    what_was_used_since_is_not_condemned,
    the_first_sentence_counts,
    whoever_asks_spares,
    a_commit_spares_what_it_refers_to,
    a_use_spares,
    only_what_is_condemned_for_long_enough_goes,
    what_went_is_told_until_it_is_forgotten,
    nothing_is_told_of_deleted_caches,
    a_listing_goes_with_its_path,
    a_deleted_cache_is_stripped,
    what_a_deleted_cache_has_seen_is_forgotten,
    removals_and_uses_at_once,
];

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

async fn condemn(db: &Subject, cache: CacheId, name: &str) {
    db.condemn_paths(cache, &[(path_hash(name), NOW)], NOW).await.unwrap();
    assert_eq!(condemned_at(db, cache, name).await, Some(NOW));
}

async fn age(db: &Subject, cache: CacheId, name: &str) -> Option<PathAge> {
    let ages = db.scan_paths(cache, None, 1000).await.unwrap();
    ages.into_iter().find(|age| age.hash == path_hash(name))
}

async fn condemned_at(db: &Subject, cache: CacheId, name: &str) -> Option<Timestamp> {
    age(db, cache, name).await.unwrap().condemned_at
}

async fn deleted_caches_are_collected_too(db: Subject) {
    let mut kept = new_cache("kept");
    kept.retention = Some(77);
    db.create_cache(&kept).await.unwrap().unwrap();
    let gone = cache(&db, "gone").await;
    push(&db, gone, "x").await;
    db.delete_cache(&"gone".parse().unwrap(), after(5)).await.unwrap();
    let again = cache(&db, "gone").await;
    let caches = db.collected_caches().await.unwrap();
    let told: Vec<_> = caches.iter().map(|cache| (cache.name.as_str(), cache.retention, cache.deleted_at)).collect();
    assert_eq!(told, [("kept", Some(77), None), ("gone", None, Some(after(5))), ("gone", None, None)]);
    assert_eq!((caches[1].id, caches[2].id), (gone, again));
    assert_eq!(db.scan_paths(gone, None, 10).await.unwrap().len(), 1, "its paths are still to be collected");
}

async fn paths_are_read_page_by_page(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    let mut names = ["a", "b", "c", "d", "e"];
    names.sort_by_key(|name| *path_hash(name).as_bytes());
    for name in names {
        let mut commit = whole(main, name);
        commit.paths[0].info.references =
            ["a", "elsewhere"].map(store_path).into_iter().filter(|p| p.name().as_str() != name).collect();
        commit_one(&db, &commit).await;
    }
    push(&db, other, "f").await;
    let hidden = db.find_nar(&nar_hash("b")).await.unwrap().unwrap();
    db.quarantine_nar(hidden.id, NOW).await.unwrap();
    let expected: Vec<StorePathHash> = names.iter().map(|name| path_hash(name)).collect();

    let (mut ages, mut links, mut weights): (Vec<PathAge>, Vec<PathReferences>, Vec<PathWeight>) = Default::default();
    let mut last = None;
    loop {
        let page = db.scan_paths(main, last, 2).await.unwrap();
        links.extend(db.scan_references(main, last, 2).await.unwrap());
        weights.extend(db.scan_sizes(main, last, 2).await.unwrap());
        let Some(end) = page.last() else { break };
        last = Some(end.hash);
        ages.extend(page);
    }
    assert_eq!(ages.iter().map(|age| age.hash).collect::<Vec<_>>(), expected);
    assert!(ages.iter().all(|age| (age.last_used_at, age.condemned_at) == (NOW, None)));
    assert_eq!(weights.iter().map(|weight| weight.hash).collect::<Vec<_>>(), expected);
    assert!(weights.iter().all(|weight| weight.file_size == 1000));
    assert_eq!(weights.iter().map(|weight| weight.nar).collect::<BTreeSet<_>>().len(), 5);
    for (row, name) in links.iter().zip(names) {
        assert_eq!(row.path, store_path(name));
        let references: BTreeSet<_> = row.references.iter().copied().collect();
        let expected = ["a", "elsewhere"].into_iter().filter(|other| *other != name).map(path_hash);
        assert_eq!(references, expected.collect());
    }
    assert_eq!(links.len(), 5);
}

async fn a_path_does_not_refer_to_itself(db: Subject) {
    let main = cache(&db, "main").await;
    let mut commit = whole(main, "x");
    commit.paths[0].info.references = ["x", "y"].map(store_path).into();
    commit_one(&db, &commit).await;
    let rows = db.scan_references(main, None, 10).await.unwrap();
    assert_eq!(rows, [PathReferences { path: store_path("x"), references: vec![path_hash("y")] }]);
}

async fn what_was_used_since_is_not_condemned(db: Subject) {
    let main = cache(&db, "main").await;
    for name in ["idle", "used"] {
        push(&db, main, name).await;
    }
    db.touch_paths(&[(main, path_hash("used"))], after(1)).await.unwrap();
    let paths = ["idle", "used", "none"].map(|name| (path_hash(name), NOW));
    db.condemn_paths(main, &paths, after(5)).await.unwrap();
    assert_eq!(condemned_at(&db, main, "idle").await, Some(after(5)));
    assert_eq!(condemned_at(&db, main, "used").await, None);
    assert!(shows(&db, main, "used").await);
}

async fn the_first_sentence_counts(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    push(&db, main, "x").await;
    push(&db, other, "y").await;
    let nar = whole(main, "x").nars.remove(0);
    commit_one(&db, &Commit { paths: vec![path(other, "x", &nar)], ..Commit::default() }).await;
    for at in [1, 9] {
        db.condemn_paths(main, &[(path_hash("x"), after(9))], after(at)).await.unwrap();
        assert_eq!(condemned_at(&db, main, "x").await, Some(after(1)));
    }
    assert_eq!(condemned_at(&db, other, "x").await, None, "what another cache shows is its own affair");
    assert_eq!(db.spare_paths(main, &[path_hash("x"), path_hash("none")]).await.unwrap(), [true, false]);
    assert_eq!(condemned_at(&db, main, "x").await, None);
}

async fn whoever_asks_spares(db: Subject) {
    let main = cache(&db, "main").await;
    push(&db, main, "x").await;
    condemn(&db, main, "x").await;
    assert!(db.find_nar_by_path(main, &path_hash("x")).await.unwrap().is_some());
    assert_eq!(condemned_at(&db, main, "x").await, Some(NOW), "who reads the NAR has asked for the path before");
    assert!(db.find_path(main, &path_hash("x")).await.unwrap().is_some());
    assert_eq!(condemned_at(&db, main, "x").await, None);
    condemn(&db, main, "x").await;
    let asked = [path_hash("none"), path_hash("x")];
    assert_eq!(db.missing_paths(main, &asked).await.unwrap(), [path_hash("none")]);
    assert_eq!(condemned_at(&db, main, "x").await, None);
}

async fn a_commit_spares_what_it_refers_to(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    for name in ["reference", "same", "idle"] {
        push(&db, main, name).await;
        condemn(&db, main, name).await;
    }
    let nar = whole(main, "reference").nars.remove(0);
    commit_one(&db, &Commit { paths: vec![path(other, "reference", &nar)], ..Commit::default() }).await;
    condemn(&db, other, "reference").await;
    let mut commit = whole(main, "new");
    commit.paths[0].info.references = ["reference", "elsewhere"].map(store_path).into();
    commit_one(&db, &commit).await;
    commit_one(&db, &whole(main, "same")).await;
    assert_eq!(condemned_at(&db, main, "reference").await, None);
    assert_eq!(condemned_at(&db, main, "same").await, None);
    assert_eq!(condemned_at(&db, main, "idle").await, Some(NOW));
    assert_eq!(condemned_at(&db, other, "reference").await, Some(NOW));
}

async fn a_use_spares(db: Subject) {
    let main = cache(&db, "main").await;
    push(&db, main, "x").await;
    condemn(&db, main, "x").await;
    db.touch_paths(&[(main, path_hash("x"))], after(1)).await.unwrap();
    let age = age(&db, main, "x").await.unwrap();
    assert_eq!((age.last_used_at, age.condemned_at), (after(1), None));
}

async fn only_what_is_condemned_for_long_enough_goes(db: Subject) {
    let main = cache(&db, "main").await;
    for name in ["free", "early", "late"] {
        push(&db, main, name).await;
    }
    db.condemn_paths(main, &[(path_hash("early"), NOW)], after(10)).await.unwrap();
    db.condemn_paths(main, &[(path_hash("late"), NOW)], after(11)).await.unwrap();
    let asked = ["late", "none", "early", "free"].map(path_hash);
    assert_eq!(db.remove_paths(main, &asked, after(10), after(20)).await.unwrap(), [false, false, true, false]);
    assert!(!shows(&db, main, "early").await);
    assert!(shows(&db, main, "late").await && shows(&db, main, "free").await);
    assert!(db.find_nar(&nar_hash("early")).await.unwrap().is_some(), "its NAR is another link of the chain");
    // It may come again as if it had never been there.
    assert_eq!(commit_one(&db, &whole(main, "early")).await, crate::PathOutcome::Created);
    assert_eq!(condemned_at(&db, main, "early").await, None);
}

async fn what_went_is_told_until_it_is_forgotten(db: Subject) {
    let main = cache(&db, "main").await;
    for name in ["x", "y", "z"] {
        push(&db, main, name).await;
        condemn(&db, main, name).await;
    }
    for (at, name) in (1..).zip(["y", "x", "z"]) {
        assert_eq!(db.remove_paths(main, &[path_hash(name)], NOW, after(at)).await.unwrap(), [true]);
    }
    let told = |removals: &[crate::Removal]| {
        let told = removals.iter().map(|gone| (gone.cache.clone(), gone.path.name().to_string(), gone.removed_at));
        told.collect::<Vec<_>>()
    };
    let first = db.pending_removals(2).await.unwrap();
    let row = |name: &str, at| ("main".to_owned(), name.to_owned(), after(at));
    assert_eq!(told(&first), [row("y", 1), row("x", 2)]);
    assert_eq!(told(&db.pending_removals(10).await.unwrap()), [row("y", 1), row("x", 2), row("z", 3)]);
    db.forget_removals(&first).await.unwrap();
    db.forget_removals(&first).await.unwrap();
    assert_eq!(told(&db.pending_removals(10).await.unwrap()), [row("z", 3)]);
}

async fn nothing_is_told_of_deleted_caches(db: Subject) {
    let gone = cache(&db, "main").await;
    push(&db, gone, "x").await;
    db.delete_cache(&"main".parse().unwrap(), NOW).await.unwrap();
    cache(&db, "main").await;
    db.condemn_paths(gone, &[(path_hash("x"), NOW)], NOW).await.unwrap();
    assert_eq!(db.remove_paths(gone, &[path_hash("x")], NOW, NOW).await.unwrap(), [true]);
    assert!(db.pending_removals(10).await.unwrap().is_empty());
}

async fn a_listing_goes_with_its_path(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    let nar = push(&db, main, "x").await;
    let name = path_hash("x").to_string();
    let manifest: Vec<_> = nar.manifest.ids().map(ChunkPointer::Known).collect();
    let kinds = [(main, DocumentKind::Listing), (main, DocumentKind::Log), (other, DocumentKind::Listing)];
    let documents = kinds.map(|(cache, kind)| NewDocument {
        cache,
        kind,
        name: name.clone(),
        manifest: manifest.clone(),
        size: 7,
        now: NOW,
    });
    db.commit(&Commit { documents: documents.into(), ..Commit::default() }).await.unwrap();
    condemn(&db, main, "x").await;
    db.remove_paths(main, &[path_hash("x")], NOW, NOW).await.unwrap();
    for ((cache, kind), stays) in kinds.into_iter().zip([false, true, true]) {
        assert_eq!(db.find_document(cache, kind, &name).await.unwrap().is_some(), stays, "{kind:?}");
    }
}

async fn a_deleted_cache_is_stripped(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    let limits = CacheLimits { quota: Some(1), max_size: Some(2), is_read_only: true };
    for cache in [main, other] {
        push(&db, cache, if cache == main { "x" } else { "y" }).await;
        let path = store_path(if cache == main { "x" } else { "y" });
        let pin = NewPin { cache, name: "p".to_owned(), path, keep: None, expires_at: None, pinned_by: None, now: NOW };
        db.add_pin(&pin).await.unwrap();
        db.set_limits(cache, &limits).await.unwrap();
    }
    db.delete_cache(&"main".parse().unwrap(), NOW).await.unwrap();
    for keys in [false, true] {
        db.strip_cache(main, keys).await.unwrap();
    }
    assert!(db.list_pins(main, NOW).await.unwrap().is_empty());
    assert_eq!(db.find_limits(main).await.unwrap(), CacheLimits::default());
    assert_eq!(db.list_pins(other, NOW).await.unwrap().len(), 1);
    assert_eq!(db.find_limits(other).await.unwrap(), limits);
    assert_eq!(db.find_cache(&"other".parse().unwrap()).await.unwrap().unwrap().keys.len(), 1);
}

async fn what_a_deleted_cache_has_seen_is_forgotten(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    let names = ["a", "b", "c"];
    for name in names {
        push(&db, main, name).await;
        let nar = whole(main, name).nars.remove(0);
        commit_one(&db, &Commit { paths: vec![path(other, name, &nar)], ..Commit::default() }).await;
    }
    let chunks = names.map(|name| whole(main, name).packs[0].chunks[0].hash);
    let seen = async |cache| db.find_visible_chunks(&[cache], &chunks).await.unwrap().into_iter().flatten().count();
    assert_eq!((seen(main).await, seen(other).await), (3, 3));
    db.delete_cache(&"main".parse().unwrap(), NOW).await.unwrap();
    for went in [2, 1, 0] {
        assert_eq!(db.forget_seen_chunks(main, 2).await.unwrap(), went);
    }
    assert_eq!((seen(main).await, seen(other).await), (0, 3));
}

/// Whoever was told that a path is there finds it, though others remove what is condemned at the same time.
async fn removals_and_uses_at_once(db: Subject) {
    let main = cache(&db, "main").await;
    let names: Vec<String> = (0..12).map(|at| format!("p{at}")).collect();
    for name in &names {
        push(&db, main, name).await;
        condemn(&db, main, name).await;
    }
    let removing = {
        let (db, hashes) = (db.clone(), names.iter().map(|name| path_hash(name)).collect::<Vec<_>>());
        tokio::spawn(async move {
            for hash in hashes {
                db.remove_paths(main, &[hash], NOW, NOW).await.unwrap();
            }
        })
    };
    let asking = {
        let (db, names) = (db.clone(), names.clone());
        tokio::spawn(async move {
            let mut told = Vec::new();
            for name in names.into_iter().rev() {
                let hash = path_hash(&name);
                let is_there = if told.len() % 2 == 0 {
                    db.missing_paths(main, &[hash]).await.unwrap().is_empty()
                } else {
                    db.find_path(main, &hash).await.unwrap().is_some()
                };
                told.push((name, is_there));
            }
            told
        })
    };
    removing.await.unwrap();
    for (name, is_there) in asking.await.unwrap() {
        assert_eq!(shows(&db, main, &name).await, is_there, "{name}");
    }
}
