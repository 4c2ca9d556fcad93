//! What becomes of the paths and NARs of a commit.

use formats::{ContentAddress, Signature};

use super::{
    Subject,
    fixtures::{all_of, cache, commit_one, key, nar, new_chunk, pack, path, path_hash, push, store_path, whole},
};
use crate::{CacheId, ChunkPointer, Commit, NewPath, PathOutcome};

checks![
    a_path_shows_as_it_was_pushed,
    a_nar_is_found_as_it_was_pushed,
    a_path_is_merged_with_itself,
    a_path_with_another_nar_stays,
    a_path_twice_in_a_commit_is_merged,
    a_commit_can_be_repeated,
    a_known_nar_stays_as_it_is,
    a_nar_is_shared_by_paths_and_caches,
    many_paths_in_one_commit,
];

fn signature(key_name: &str, text: &str) -> Signature {
    key(key_name).sign(text)
}

/// A path of which everything is known that can be.
fn rich(cache: CacheId, name: &str, nar: &crate::NewNar) -> NewPath {
    let mut path = path(cache, name, nar);
    let hash = "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s";
    path.info.references = ["b", "a", name].map(store_path).into();
    path.info.deriver = Some(store_path("x.drv"));
    path.info.signatures = ["k2", "k1"].map(|key| signature(key, name)).into();
    path.info.ca = Some(format!("fixed:r:{hash}").parse::<ContentAddress>().unwrap());
    path.extra = [("Z", "\"quoted\""), ("A", "ä b"), ("Z", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    path.pushed_by = Some("ci".to_owned());
    path
}

async fn a_path_shows_as_it_was_pushed(db: Subject) {
    let cache = cache(&db, "main").await;
    let mut commit = whole(cache, "x");
    commit.paths[0] = rich(cache, "x", &commit.nars[0]);
    assert_eq!(commit_one(&db, &commit).await, PathOutcome::Created);
    let row = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(row.info, commit.paths[0].info);
    assert_eq!(row.extra, commit.paths[0].extra);
    assert_eq!((row.file_hash, row.file_size), (commit.nars[0].file_hash, commit.nars[0].file_size));

    // And with nothing that can be left out.
    push(&db, cache, "plain").await;
    let row = db.find_path(cache, &path_hash("plain")).await.unwrap().unwrap();
    assert_eq!(row.info, whole(cache, "plain").paths[0].info);
    assert!(row.extra.is_empty());
}

async fn a_nar_is_found_as_it_was_pushed(db: Subject) {
    let cache = cache(&db, "main").await;
    let pack = pack("p", 6);
    let mut new = nar("x", all_of(&pack)[..4].to_vec());
    new.listing = Some(all_of(&pack)[4..].to_vec());
    (new.nar_size, new.file_size) = (1 << 50, (1 << 50) - 1);
    let paths = vec![path(cache, "x", &new)];
    db.commit(&Commit { packs: vec![pack.clone()], nars: vec![new.clone()], paths, ..Commit::default() })
        .await
        .unwrap();

    let nar = db.find_nar(&new.nar_hash).await.unwrap().unwrap();
    assert_eq!((nar.nar_hash, nar.nar_size), (new.nar_hash, new.nar_size));
    assert_eq!((nar.file_hash, nar.file_size), (new.file_hash, new.file_size));
    let located = db.locate_chunks(&nar.manifest).await.unwrap();
    assert_eq!(located.iter().map(|chunk| chunk.size).collect::<Vec<_>>(), [4000, 4001, 4002, 4003]);
    let listing = db.locate_chunks(nar.listing.as_ref().unwrap()).await.unwrap();
    assert_eq!(listing.iter().map(|chunk| chunk.size).collect::<Vec<_>>(), [4004, 4005]);

    let by_path = db.find_nar_by_path(cache, &path_hash("x")).await.unwrap().unwrap();
    let by_file = db.find_nar_by_file_hash(cache, &new.file_hash).await.unwrap().unwrap();
    for same in [by_path, by_file] {
        assert_eq!(
            (same.id, same.file_hash, same.manifest, same.listing),
            (nar.id, nar.file_hash, nar.manifest.clone(), nar.listing.clone())
        );
    }
}

async fn a_path_is_merged_with_itself(db: Subject) {
    let cache = cache(&db, "main").await;
    let mut commit = whole(cache, "x");
    commit.paths[0].info.references = ["a", "b"].map(store_path).into();
    commit.paths[0].info.signatures = [signature("k1", "x")].into();
    commit.paths[0].extra = vec![("A".to_owned(), "1".to_owned())];
    assert_eq!(commit_one(&db, &commit).await, PathOutcome::Created);

    let mut again = Commit { paths: vec![rich(cache, "x", &commit.nars[0])], ..Commit::default() };
    again.paths[0].info.references = ["b", "c"].map(store_path).into();
    again.paths[0].extra.push(("A".to_owned(), "1".to_owned()));
    assert_eq!(commit_one(&db, &again).await, PathOutcome::Merged);

    let row = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(row.info.references, ["a", "b", "c"].map(store_path).into());
    assert_eq!(row.info.signatures, ["k1", "k2"].map(|key| signature(key, "x")).into());
    assert_eq!(row.info.deriver, again.paths[0].info.deriver, "what was not known is known now");
    assert_eq!(row.info.ca, again.paths[0].info.ca);
    let extra: Vec<_> = row.extra.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(extra, [("A", "1"), ("Z", "\"quoted\""), ("A", "ä b"), ("Z", "")]);

    // What is known stays.
    let mut other_deriver = Commit { paths: vec![path(cache, "x", &commit.nars[0])], ..Commit::default() };
    other_deriver.paths[0].info.deriver = Some(store_path("other.drv"));
    assert_eq!(commit_one(&db, &other_deriver).await, PathOutcome::Merged);
    let row = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(row.info.deriver, again.paths[0].info.deriver);
    assert_eq!(row.info.signatures.len(), 2);
}

async fn a_path_with_another_nar_stays(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "x").await;
    let before = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    let mut other = whole(cache, "other");
    other.paths[0] = rich(cache, "x", &other.nars[0]);
    assert_eq!(commit_one(&db, &other).await, PathOutcome::KeptOther);
    let row = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(row.info, before.info);
    assert!(row.extra.is_empty());
}

async fn a_path_twice_in_a_commit_is_merged(db: Subject) {
    let cache = cache(&db, "main").await;
    let mut commit = whole(cache, "x");
    let mut twice = commit.paths[0].clone();
    twice.info.references.insert(store_path("a"));
    let other = whole(cache, "other");
    commit.packs.extend(other.packs);
    commit.nars.push(commit.nars[0].clone());
    commit.paths.extend([twice, path(cache, "x", &other.nars[0]), path(cache, "y", &other.nars[0])]);
    commit.nars.extend(other.nars);
    let outcomes = db.commit(&commit).await.unwrap();
    use PathOutcome::{Created, KeptOther, Merged};
    assert_eq!(outcomes, [Created, Merged, KeptOther, Created]);
    let row = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(row.info.references.len(), 1);
}

async fn a_commit_can_be_repeated(db: Subject) {
    // Who did not get the answer may send the same again.
    let cache = cache(&db, "main").await;
    let commit = whole(cache, "x");
    assert_eq!(commit_one(&db, &commit).await, PathOutcome::Created);
    let before = db.totals().await.unwrap();
    assert_eq!(commit_one(&db, &commit).await, PathOutcome::Merged);
    assert_eq!(db.totals().await.unwrap(), before);
}

async fn a_known_nar_stays_as_it_is(db: Subject) {
    let cache = cache(&db, "main").await;
    let before = push(&db, cache, "x").await;
    let mut other = whole(cache, "y");
    other.nars[0].nar_hash = before.nar_hash;
    other.nars[0].nar_size = before.nar_size;
    other.paths[0] = path(cache, "y", &other.nars[0]);
    assert_eq!(commit_one(&db, &other).await, PathOutcome::Created);
    let y = db.find_path(cache, &path_hash("y")).await.unwrap().unwrap();
    assert_eq!(y.file_hash, before.file_hash, "what clients were told of the NAR stays true");
    let nar = db.find_nar(&before.nar_hash).await.unwrap().unwrap();
    assert_eq!((nar.id, nar.manifest), (before.id, before.manifest));
}

async fn a_nar_is_shared_by_paths_and_caches(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let mut commit = whole(a, "x");
    commit.paths.push(path(b, "x", &commit.nars[0]));
    commit.paths.push(path(b, "y", &commit.nars[0]));
    assert_eq!(db.commit(&commit).await.unwrap(), [PathOutcome::Created; 3]);
    let totals = db.totals().await.unwrap();
    assert_eq!((totals.caches, totals.paths, totals.nars, totals.nar_bytes), (2, 3, 1, commit.nars[0].nar_size));
    assert_eq!((totals.chunks, totals.stored_bytes, totals.quarantined), (1, commit.packs[0].size, 0));
    // Each cache knows its own signatures.
    assert!(db.add_signatures(a, &path_hash("x"), &[signature("k", "x")]).await.unwrap());
    assert!(db.find_path(b, &path_hash("x")).await.unwrap().unwrap().info.signatures.is_empty());
}

async fn many_paths_in_one_commit(db: Subject) {
    let cache = cache(&db, "main").await;
    let pack = pack("p", 2300);
    let mut commit = Commit::default();
    for (at, chunk) in pack.chunks.iter().enumerate() {
        let nar = nar(&format!("n{at}"), vec![ChunkPointer::New(chunk.hash)]);
        commit.paths.push(path(cache, &format!("p{at}"), &nar));
        commit.nars.push(nar);
    }
    commit.packs.push(pack);
    assert_eq!(db.commit(&commit).await.unwrap(), vec![PathOutcome::Created; 2300]);
    assert_eq!(db.totals().await.unwrap().paths, 2300);
    let last = db.find_nar_by_path(cache, &path_hash("p2299")).await.unwrap().unwrap();
    assert_eq!(db.locate_chunks(&last.manifest).await.unwrap()[0].check, new_chunk("p", 2299).check);

    // Half of them again, and one more, in the middle.
    let mut half = Commit { paths: commit.paths.drain(..1150).collect(), ..Commit::default() };
    half.paths.insert(500, path(cache, "one-more", &commit.nars[0]));
    let outcomes = db.commit(&half).await.unwrap();
    assert_eq!(outcomes[500], PathOutcome::Created);
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == PathOutcome::Merged).count(), 1150);
}
