//! Commits that are refused, and what they leave behind: nothing.

use super::{
    Subject,
    fixtures::{
        NOW, all_of, cache, commit_one, nar, nar_hash, new_chunk, pack, path, push, refused, shows, store_path, whole,
    },
};
use crate::{ChunkId, ChunkPointer, Commit, CommitError, DocumentKind, NewDocument, NewUpload, PackName, PathOutcome};

checks![
    an_empty_commit_is_nothing,
    a_known_chunk_must_be_there,
    a_damaged_chunk_cannot_be_used,
    a_new_chunk_must_be_in_a_pack,
    listings_and_documents_are_checked_too,
    a_chunk_stored_as_other_bytes_is_a_race,
    a_path_needs_its_nar,
    an_upload_needs_its_nar,
    a_deleted_cache_takes_nothing,
    one_bad_path_refuses_all,
];

async fn an_empty_commit_is_nothing(db: Subject) {
    assert!(db.commit(&Commit::default()).await.unwrap().is_empty());
    assert_eq!(db.totals().await.unwrap(), crate::Totals::default());
}

async fn a_known_chunk_must_be_there(db: Subject) {
    let cache = cache(&db, "main").await;
    let there: Vec<_> = push(&db, cache, "there").await.manifest.ids().collect();
    let beyond = ChunkId(there[0].0 + 1);
    for manifest in [vec![beyond], vec![there[0], beyond], vec![there[0], ChunkId(0)], vec![ChunkId(i64::MAX - 1)]] {
        let mut commit = whole(cache, "x");
        commit.nars[0].manifest.extend(manifest.into_iter().map(ChunkPointer::Known));
        assert!(matches!(refused(&db, &commit).await, CommitError::ChunkGone));
    }
    assert!(!shows(&db, cache, "x").await);
    // The same one many times is no gap.
    let mut commit = whole(cache, "x");
    commit.nars[0].manifest.extend([ChunkPointer::Known(there[0]); 3]);
    assert_eq!(commit_one(&db, &commit).await, PathOutcome::Created);
}

async fn a_damaged_chunk_cannot_be_used(db: Subject) {
    let cache = cache(&db, "main").await;
    let id = push(&db, cache, "there").await.manifest.ids().next().unwrap();
    db.mark_damaged(&[id], NOW).await.unwrap();
    let mut commit = whole(cache, "x");
    commit.nars[0].manifest.push(ChunkPointer::Known(id));
    assert!(matches!(refused(&db, &commit).await, CommitError::ChunkGone));
}

async fn a_new_chunk_must_be_in_a_pack(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "there").await;
    for hash in [new_chunk("nowhere", 0).hash, new_chunk("there", 0).hash] {
        let mut commit = whole(cache, "x");
        commit.nars[0].manifest.push(ChunkPointer::New(hash));
        assert!(matches!(refused(&db, &commit).await, CommitError::ChunkGone));
    }
}

async fn listings_and_documents_are_checked_too(db: Subject) {
    let cache = cache(&db, "main").await;
    let gone = [ChunkPointer::Known(ChunkId(77)), ChunkPointer::New(new_chunk("nowhere", 0).hash)];
    for pointer in gone {
        let mut commit = whole(cache, "x");
        commit.nars[0].listing = Some(vec![pointer]);
        assert!(matches!(refused(&db, &commit).await, CommitError::ChunkGone));

        let mut commit = whole(cache, "x");
        let name = "log".to_owned();
        commit.documents.push(NewDocument {
            cache,
            kind: DocumentKind::Log,
            name,
            manifest: vec![pointer],
            size: 1,
            now: NOW,
        });
        assert!(matches!(refused(&db, &commit).await, CommitError::ChunkGone));
        assert!(db.find_document(cache, DocumentKind::Log, "log").await.unwrap().is_none());
    }
}

async fn a_chunk_stored_as_other_bytes_is_a_race(db: Subject) {
    let cache = cache(&db, "main").await;
    let first = pack("p", 3);
    db.commit(&Commit { packs: vec![first.clone()], ..Commit::default() }).await.unwrap();
    for other in 0..2 {
        let mut second = first.clone();
        second.name = PackName([9; 16]);
        let chunk = &mut second.chunks[1];
        if other == 0 {
            chunk.stored_size += 1;
        } else {
            chunk.check ^= 1;
        }
        let nar = nar("x", all_of(&second));
        let paths = vec![path(cache, "x", &nar)];
        let commit = Commit { packs: vec![second], nars: vec![nar], paths, ..Commit::default() };
        assert!(matches!(refused(&db, &commit).await, CommitError::ChunkRaced));
    }
    let found = db.find_chunks(&[first.chunks[1].hash]).await.unwrap()[0].unwrap();
    assert_eq!((found.pack, found.check), (first.name, first.chunks[1].check));
}

async fn a_path_needs_its_nar(db: Subject) {
    let cache = cache(&db, "main").await;
    let known = push(&db, cache, "known").await;

    let mut unknown = whole(cache, "x");
    unknown.nars.clear();
    assert!(matches!(refused(&db, &unknown).await, CommitError::NarGone));

    let mut other_size = whole(cache, "x");
    other_size.paths[0].info.nar_size += 1;
    assert!(matches!(refused(&db, &other_size).await, CommitError::NarGone));

    let mut by_known_nar = whole(cache, "x");
    by_known_nar.nars.clear();
    by_known_nar.paths[0].info.nar_hash = known.nar_hash;
    by_known_nar.paths[0].info.nar_size = known.nar_size;
    db.quarantine_nar(known.id, NOW).await.unwrap();
    assert!(matches!(refused(&db, &by_known_nar).await, CommitError::NarGone));
    assert!(!shows(&db, cache, "x").await);
}

async fn an_upload_needs_its_nar(db: Subject) {
    let cache = cache(&db, "main").await;
    let upload = NewUpload {
        cache,
        file_name: "f.nar.xz".to_owned(),
        nar_hash: nar_hash("nowhere"),
        file_hash: formats::FileHash::digest_of(b"f"),
        file_size: 1,
        now: NOW,
    };
    let commit = Commit { uploads: vec![upload], ..Commit::default() };
    assert!(matches!(refused(&db, &commit).await, CommitError::NarGone));
}

async fn a_deleted_cache_takes_nothing(db: Subject) {
    let deleted = cache(&db, "main").await;
    let other = cache(&db, "other").await;
    db.delete_cache(&"main".parse().unwrap(), NOW).await.unwrap();
    assert!(matches!(refused(&db, &whole(deleted, "x")).await, CommitError::CacheGone));

    let mut both = whole(other, "x");
    both.paths.push(path(deleted, "y", &both.nars[0]));
    assert!(matches!(refused(&db, &both).await, CommitError::CacheGone));
    assert!(!shows(&db, other, "x").await);

    both.paths.pop();
    let manifest = both.nars[0].manifest.clone();
    let name = "log".to_owned();
    both.documents.push(NewDocument { cache: deleted, kind: DocumentKind::Log, name, manifest, size: 1, now: NOW });
    assert!(matches!(refused(&db, &both).await, CommitError::CacheGone));
}

async fn one_bad_path_refuses_all(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "before").await;
    let mut commit = whole(cache, "good");
    commit.paths.push(path(cache, "bad", &nar("nowhere", Vec::new())));
    // One that would be merged is left as it is, too.
    let mut merged = path(cache, "before", &nar("before", Vec::new()));
    merged.info.references.insert(store_path("good"));
    commit.paths.insert(0, merged);
    assert!(matches!(refused(&db, &commit).await, CommitError::NarGone));
    assert!(!shows(&db, cache, "good").await);
    assert!(db.find_chunks(&[commit.packs[0].chunks[0].hash]).await.unwrap()[0].is_none());
    let before = db.find_path(cache, store_path("before").hash()).await.unwrap().unwrap();
    assert!(before.info.references.is_empty());
}
