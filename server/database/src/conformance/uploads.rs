//! NARs that came by plain PUT.

use formats::FileHash;

use super::{
    Subject,
    fixtures::{NOW, cache, commit_one, nar_hash, path_hash, push, shows, whole},
};
use crate::{CacheId, Commit, NewUpload, PathOutcome};

checks![an_upload_waits_for_its_path, an_upload_is_replaced, a_quarantined_upload_is_hidden, a_deleted_cache_has_none];

const FILE: &str = "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s.nar.xz";

fn upload(cache: CacheId, nar: &str, file: &str) -> NewUpload {
    let file_hash = FileHash::digest_of(file.as_bytes());
    let file_size = (1 << 40) + file.len() as u64;
    NewUpload { cache, file_name: FILE.to_owned(), nar_hash: nar_hash(nar), file_hash, file_size, now: NOW }
}

async fn an_upload_waits_for_its_path(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let mut commit = whole(a, "x");
    let paths = std::mem::take(&mut commit.paths);
    commit.uploads.push(upload(a, "x", "f"));
    assert!(db.commit(&commit).await.unwrap().is_empty());

    let found = db.find_upload(a, FILE).await.unwrap().unwrap();
    assert_eq!((found.file_hash, found.file_size), (FileHash::digest_of(b"f"), (1 << 40) + 1));
    let nar = &commit.nars[0];
    assert_eq!((found.nar.nar_hash, found.nar.nar_size), (nar.nar_hash, nar.nar_size));
    assert_eq!((found.nar.file_hash, found.nar.file_size), (nar.file_hash, nar.file_size));
    assert_eq!(found.nar.manifest.chunk_count(), 1);
    assert!(db.find_upload(b, FILE).await.unwrap().is_none());
    assert!(db.find_upload(a, "other.nar.xz").await.unwrap().is_none());
    assert!(!shows(&db, a, "x").await);
    assert!(db.find_nar_by_file_hash(a, &nar.file_hash).await.unwrap().is_none(), "no path shows it yet");

    let then = Commit { paths, ..Commit::default() };
    assert_eq!(commit_one(&db, &then).await, PathOutcome::Created);
    let shown = db.find_nar_by_path(a, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(shown.id, found.nar.id);
}

async fn an_upload_is_replaced(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "x").await;
    push(&db, cache, "y").await;
    for (nar, file) in [("x", "first"), ("y", "second"), ("y", "second")] {
        let commit = Commit { uploads: vec![upload(cache, nar, file)], ..Commit::default() };
        db.commit(&commit).await.unwrap();
        let found = db.find_upload(cache, FILE).await.unwrap().unwrap();
        assert_eq!((found.nar.nar_hash, found.file_hash), (nar_hash(nar), FileHash::digest_of(file.as_bytes())));
    }
}

async fn a_quarantined_upload_is_hidden(db: Subject) {
    let cache = cache(&db, "main").await;
    let nar = push(&db, cache, "x").await;
    db.commit(&Commit { uploads: vec![upload(cache, "x", "f")], ..Commit::default() }).await.unwrap();
    db.quarantine_nar(nar.id, NOW).await.unwrap();
    assert!(db.find_upload(cache, FILE).await.unwrap().is_none());
}

async fn a_deleted_cache_has_none(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "x").await;
    db.commit(&Commit { uploads: vec![upload(cache, "x", "f")], ..Commit::default() }).await.unwrap();
    db.delete_cache(&"main".parse().unwrap(), NOW).await.unwrap();
    assert!(db.find_upload(cache, FILE).await.unwrap().is_none());
}
