//! Documents.

use super::{
    Subject,
    fixtures::{NOW, all_of, cache, pack},
};
use crate::{CacheId, ChunkPointer, Commit, DocumentKind, NewDocument};

checks![
    a_document_is_found_by_kind_and_name,
    a_document_is_replaced,
    a_document_may_use_known_chunks,
    a_deleted_cache_has_no_documents,
];

fn document(cache: CacheId, kind: DocumentKind, name: &str, manifest: Vec<ChunkPointer>) -> NewDocument {
    NewDocument { cache, kind, name: name.to_owned(), manifest, size: 123, now: NOW }
}

async fn a_document_is_found_by_kind_and_name(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let pack = pack("p", 5);
    let names = ["x", "x.drv", "sha256:0a!out", "x.drv/out", "name with ' and ä"];
    let mut commit = Commit { packs: vec![pack.clone()], ..Commit::default() };
    for ((kind, name), chunk) in DocumentKind::ALL.into_iter().zip(names).zip(all_of(&pack)) {
        commit.documents.push(document(a, kind, name, vec![chunk]));
    }
    db.commit(&commit).await.unwrap();
    for (at, (kind, name)) in DocumentKind::ALL.into_iter().zip(names).enumerate() {
        let found = db.find_document(a, kind, name).await.unwrap().unwrap();
        assert_eq!(found.size, 123);
        let located = db.locate_chunks(&found.manifest).await.unwrap();
        assert_eq!(located.len(), 1);
        assert_eq!(located[0].offset, 1000 * at as u64, "{kind:?}");
        assert!(db.find_document(b, kind, name).await.unwrap().is_none());
        assert!(db.find_document(a, kind, "other").await.unwrap().is_none());
        for other in DocumentKind::ALL.into_iter().filter(|&other| other != kind) {
            assert!(db.find_document(a, other, name).await.unwrap().is_none());
        }
    }
}

async fn a_document_is_replaced(db: Subject) {
    let cache = cache(&db, "main").await;
    let pack = pack("p", 3);
    let chunks = all_of(&pack);
    let mut commit = Commit { packs: vec![pack], ..Commit::default() };
    commit.documents.push(document(cache, DocumentKind::Log, "x.drv", chunks[..1].to_vec()));
    db.commit(&commit).await.unwrap();
    let mut longer = document(cache, DocumentKind::Log, "x.drv", chunks);
    longer.size = 456;
    commit.documents = vec![longer];
    db.commit(&commit).await.unwrap();
    let found = db.find_document(cache, DocumentKind::Log, "x.drv").await.unwrap().unwrap();
    assert_eq!((found.size, found.manifest.chunk_count()), (456, 3));

    let mut empty = document(cache, DocumentKind::Log, "x.drv", Vec::new());
    empty.size = 0;
    db.commit(&Commit { documents: vec![empty], ..Commit::default() }).await.unwrap();
    let found = db.find_document(cache, DocumentKind::Log, "x.drv").await.unwrap().unwrap();
    assert_eq!((found.size, found.manifest.chunk_count()), (0, 0));
}

async fn a_document_may_use_known_chunks(db: Subject) {
    let cache = cache(&db, "main").await;
    let pack = pack("p", 1);
    db.commit(&Commit { packs: vec![pack.clone()], ..Commit::default() }).await.unwrap();
    let known = db.find_chunks(&[pack.chunks[0].hash]).await.unwrap()[0].unwrap();
    let new = document(cache, DocumentKind::DebugInfo, "ab12", vec![ChunkPointer::Known(known.id)]);
    db.commit(&Commit { documents: vec![new], ..Commit::default() }).await.unwrap();
    let found = db.find_document(cache, DocumentKind::DebugInfo, "ab12").await.unwrap().unwrap();
    assert_eq!(db.locate_chunks(&found.manifest).await.unwrap(), [known]);
}

async fn a_deleted_cache_has_no_documents(db: Subject) {
    let cache = cache(&db, "main").await;
    let new = document(cache, DocumentKind::Listing, "x", Vec::new());
    db.commit(&Commit { documents: vec![new], ..Commit::default() }).await.unwrap();
    db.delete_cache(&"main".parse().unwrap(), NOW).await.unwrap();
    assert!(db.find_document(cache, DocumentKind::Listing, "x").await.unwrap().is_none());
}
