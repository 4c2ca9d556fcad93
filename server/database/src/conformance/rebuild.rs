//! Making the index anew.

use super::{
    Subject,
    fixtures::{NOW, all_of, cache, nar, nar_hash, new_chunk, pack, path, path_hash, push, shows, whole},
};
use crate::{ChunkPointer, Commit, DocumentKind, Gone, NewChunk, NewDocument, PackName};

checks![
    a_frame_beside_another_one_is_read_and_not_found,
    a_nar_may_have_frames_that_are_out_of_deduplication,
    what_is_forgotten_is_gone_and_nothing_else_is,
    a_nar_that_a_path_has_is_not_forgotten,
];

/// Another frame of the chunk `name/0`, in a pack of its own.
async fn another_frame(db: &Subject, name: &str) -> (PackName, NewChunk) {
    let other = pack(&format!("another {name}"), 0);
    db.commit(&Commit { packs: vec![other.clone()], ..Commit::default() }).await.unwrap();
    (other.name, NewChunk { offset: 77, stored_size: 900, check: 5, ..new_chunk(name, 0) })
}

async fn a_frame_beside_another_one_is_read_and_not_found(db: Subject) {
    let first = pack("p", 1);
    db.commit(&Commit { packs: vec![first.clone()], ..Commit::default() }).await.unwrap();
    let (pack, frame) = another_frame(&db, "p").await;
    let id = db.add_frame(pack, &frame, NOW).await.unwrap().unwrap();
    assert_eq!(db.add_frame(pack, &frame, NOW).await.unwrap(), Some(id), "it has its row already");
    let located = db.locate_chunks(&[id].into_iter().collect()).await.unwrap();
    assert_eq!((located[0].pack, located[0].offset, located[0].check), (pack, 77, 5));
    let found = db.find_chunks(&[frame.hash]).await.unwrap()[0].unwrap();
    assert_eq!(found.pack, first.name);
    assert_eq!(db.add_frame(PackName([9; 16]), &frame, NOW).await.unwrap(), None, "its pack has no row");
}

async fn a_nar_may_have_frames_that_are_out_of_deduplication(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "p").await;
    let (pack, frame) = another_frame(&db, "p").await;
    let id = db.add_frame(pack, &frame, NOW).await.unwrap().unwrap();
    let other = nar("other", vec![ChunkPointer::Known(id)]);
    db.restore_nar(&other).await.unwrap();
    let found = db.find_nar(&other.nar_hash).await.unwrap().unwrap();
    assert_eq!((found.nar_size, found.file_hash, found.file_size), (other.nar_size, other.file_hash, other.file_size));
    assert_eq!(found.manifest.ids().collect::<Vec<_>>(), [id]);
    assert!(found.listing.is_none());
    db.commit(&Commit { paths: vec![path(cache, "other", &other)], ..Commit::default() }).await.unwrap();
    assert!(shows(&db, cache, "other").await);

    // One that is known stays as it is.
    let mut again = nar("p", vec![ChunkPointer::Known(id)]);
    again.file_size = 900;
    db.restore_nar(&again).await.unwrap();
    assert_eq!(db.find_nar(&nar_hash("p")).await.unwrap().unwrap().file_size, 1000);
    let unknown = nar("x", vec![ChunkPointer::New(frame.hash)]);
    assert!(db.restore_nar(&unknown).await.is_err());
}

async fn what_is_forgotten_is_gone_and_nothing_else_is(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    push(&db, a, "p").await;
    push(&db, a, "q").await;
    db.commit(&Commit { paths: whole(b, "p").paths, ..Commit::default() }).await.unwrap();
    let log = pack("log", 1);
    let document = |cache| NewDocument {
        cache,
        kind: DocumentKind::Log,
        name: "x.drv".to_owned(),
        manifest: all_of(&log),
        size: 1,
        now: NOW,
    };
    let documents = vec![document(a), document(b)];
    db.commit(&Commit { packs: vec![log.clone()], documents, ..Commit::default() }).await.unwrap();
    let gone = [
        Gone::Path { cache: a, hash: path_hash("p") },
        Gone::Document { cache: a, kind: DocumentKind::Log, name: "x.drv".to_owned() },
        Gone::Path { cache: a, hash: path_hash("never there") },
    ];
    db.forget(&gone).await.unwrap();
    assert!(!shows(&db, a, "p").await && shows(&db, a, "q").await && shows(&db, b, "p").await);
    assert!(db.find_document(a, DocumentKind::Log, "x.drv").await.unwrap().is_none());
    assert!(db.find_document(b, DocumentKind::Log, "x.drv").await.unwrap().is_some());
    db.forget(&[]).await.unwrap();
}

async fn a_nar_that_a_path_has_is_not_forgotten(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "p").await;
    db.forget(&[Gone::Nar(nar_hash("p"))]).await.unwrap();
    assert!(shows(&db, cache, "p").await);
    db.forget(&[Gone::Path { cache, hash: path_hash("p") }, Gone::Nar(nar_hash("p"))]).await.unwrap();
    assert!(db.find_nar(&nar_hash("p")).await.unwrap().is_none());
}
