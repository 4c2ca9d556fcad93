//! Quarantine: a broken NAR is as absent as one that never came, until it comes again.

use super::{
    Subject,
    fixtures::{NOW, cache, commit_one, nar, path, path_hash, push, shows, store_path, whole},
};
use crate::{Commit, NarId, PackName, PathOutcome};

checks![
    a_quarantined_nar_is_hidden_everywhere,
    a_nar_is_healed_by_being_pushed_again,
    one_push_heals_all_paths_of_the_nar,
    a_quarantined_path_takes_another_nar,
    quarantine_of_nothing_is_nothing,
];

async fn a_quarantined_nar_is_hidden_everywhere(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let mut commit = whole(a, "x");
    commit.paths.push(path(b, "x", &commit.nars[0]));
    db.commit(&commit).await.unwrap();
    push(&db, a, "other").await;
    let nar = db.find_nar(&commit.nars[0].nar_hash).await.unwrap().unwrap();
    db.quarantine_nar(nar.id, NOW).await.unwrap();
    db.quarantine_nar(nar.id, NOW).await.unwrap();
    for cache in [a, b] {
        assert!(!shows(&db, cache, "x").await);
        assert!(db.find_nar_by_file_hash(cache, &nar.file_hash).await.unwrap().is_none());
    }
    assert!(db.find_nar(&nar.nar_hash).await.unwrap().is_none());
    assert!(shows(&db, a, "other").await);
    assert_eq!(db.totals().await.unwrap().quarantined, 1);
}

async fn a_nar_is_healed_by_being_pushed_again(db: Subject) {
    let cache = cache(&db, "main").await;
    let mut commit = whole(cache, "x");
    commit.paths[0].info.references.insert(store_path("a"));
    commit_one(&db, &commit).await;
    let broken = db.find_nar(&commit.nars[0].nar_hash).await.unwrap().unwrap();
    let chunks: Vec<_> = broken.manifest.ids().collect();
    db.mark_damaged(&chunks, NOW).await.unwrap();
    db.quarantine_nar(broken.id, NOW).await.unwrap();

    // It comes again, compressed otherwise.
    let mut again = whole(cache, "x");
    again.packs[0].name = PackName([2; 16]);
    again.packs[0].chunks[0].check ^= 1;
    again.nars[0].file_hash = formats::FileHash::digest_of(b"otherwise");
    again.nars[0].file_size = 77;
    again.nars[0].listing = Some(again.nars[0].manifest.clone());
    assert_eq!(commit_one(&db, &again).await, PathOutcome::Created);
    assert!(shows(&db, cache, "x").await);
    let healed = db.find_nar_by_file_hash(cache, &again.nars[0].file_hash).await.unwrap().unwrap();
    assert_eq!((healed.nar_hash, healed.file_size), (broken.nar_hash, 77));
    assert_eq!(healed.listing.as_ref(), Some(&healed.manifest));
    let located = db.locate_chunks(&healed.manifest).await.unwrap();
    assert_eq!((located[0].pack, located[0].check), (PackName([2; 16]), again.packs[0].chunks[0].check));
    assert!(db.find_nar_by_file_hash(cache, &broken.file_hash).await.unwrap().is_none());
    let totals = db.totals().await.unwrap();
    assert_eq!((totals.nars, totals.paths, totals.quarantined), (1, 1, 0));
    assert_eq!(commit_one(&db, &again).await, PathOutcome::Merged);
    let row = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!((row.file_size, row.info.references.len()), (77, 1));
}

async fn one_push_heals_all_paths_of_the_nar(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let mut commit = whole(a, "x");
    commit.paths.push(path(b, "y", &commit.nars[0]));
    db.commit(&commit).await.unwrap();
    let nar = db.find_nar(&commit.nars[0].nar_hash).await.unwrap().unwrap();
    db.quarantine_nar(nar.id, NOW).await.unwrap();
    assert_eq!(commit_one(&db, &whole(a, "x")).await, PathOutcome::Created);
    assert!(shows(&db, a, "x").await);
    assert!(shows(&db, b, "y").await);
}

async fn a_quarantined_path_takes_another_nar(db: Subject) {
    let cache = cache(&db, "main").await;
    let broken = push(&db, cache, "x").await;
    db.add_signatures(cache, &path_hash("x"), &[super::fixtures::key("k").sign("x")]).await.unwrap();
    db.quarantine_nar(broken.id, NOW).await.unwrap();

    let mut other = whole(cache, "other");
    other.paths[0] = path(cache, "x", &other.nars[0]);
    other.paths[0].info.references.insert(store_path("a"));
    other.paths[0].extra.push(("K".to_owned(), "v".to_owned()));
    assert_eq!(commit_one(&db, &other).await, PathOutcome::Created);
    let row = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(row.info, other.paths[0].info, "nothing that was said of the broken NAR is said of this one");
    assert_eq!(row.extra, other.paths[0].extra);

    // The broken one comes again: it is healed, but the path has another by now.
    assert_eq!(commit_one(&db, &whole(cache, "x")).await, PathOutcome::KeptOther);
    assert!(db.find_nar(&broken.nar_hash).await.unwrap().is_some());
}

async fn quarantine_of_nothing_is_nothing(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "x").await;
    db.quarantine_nar(NarId(i64::MAX), NOW).await.unwrap();
    assert!(shows(&db, cache, "x").await);
    let known = Commit { paths: vec![path(cache, "y", &nar("x", Vec::new()))], ..Commit::default() };
    assert_eq!(commit_one(&db, &known).await, PathOutcome::Created);
}
