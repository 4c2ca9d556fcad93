//! Going through the index page by page, and what is remembered of it.

use protocol::Timestamp;

use super::{
    Subject,
    fixtures::{NOW, all_of, cache, commit_one, nar, pack, path, path_hash, push, store_path, whole},
};
use crate::{
    Census, ChunkId, ChunkRuns, Commit, DocumentKind, NarId, NewDocument, PackId, PackName, ScrubProgress, Traffic,
};

checks![
    packs_are_listed_page_by_page,
    the_chunks_of_a_pack_are_listed_by_place,
    damaged_chunks_are_examined_too,
    nars_are_listed_in_quarantine_too,
    paths_are_listed_with_what_they_refer_to,
    documents_are_listed_and_dropped,
    listings_are_replaced_if_they_are_still_what_they_were,
    only_empty_packs_are_dropped,
    a_path_with_a_nar_is_not_dropped,
    sizes_leave_out_what_is_hidden,
    progress_and_figures_are_remembered,
    traffic_adds_up,
];

async fn packs_are_listed_page_by_page(db: Subject) {
    let cache = cache(&db, "main").await;
    for name in ["a", "b", "c"] {
        push(&db, cache, name).await;
    }
    let first = db.list_packs(PackId(0), 2).await.unwrap();
    assert_eq!(first.len(), 2);
    let rest = db.list_packs(first[1].id, 2).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert!(db.list_packs(rest[0].id, 2).await.unwrap().is_empty());
    assert_eq!((first[0].name, first[0].size), (pack("a", 1).name, pack("a", 1).size));
    let asked = [rest[0].name, PackName([9; 16]), first[0].name];
    assert_eq!(db.find_packs(&asked).await.unwrap(), [Some(rest[0]), None, Some(first[0])]);
}

async fn the_chunks_of_a_pack_are_listed_by_place(db: Subject) {
    let cache = cache(&db, "main").await;
    let mut new = pack("a", 3);
    new.chunks.reverse();
    let nar = nar("a", all_of(&new));
    let commit = Commit { paths: vec![path(cache, "a", &nar)], packs: vec![new], nars: vec![nar], ..Commit::default() };
    commit_one(&db, &commit).await;
    let row = db.list_packs(PackId(0), 1).await.unwrap()[0];
    let chunks = db.list_pack_chunks(row.id).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.location.offset).collect::<Vec<_>>(), [0, 1000, 2000]);
    let expected = pack("a", 3).chunks;
    assert_eq!(
        chunks.iter().map(|chunk| chunk.hash).collect::<Vec<_>>(),
        expected.iter().map(|c| c.hash).collect::<Vec<_>>()
    );
    assert!(chunks.iter().all(|chunk| chunk.location.pack == row.name && !chunk.is_damaged));
}

async fn damaged_chunks_are_examined_too(db: Subject) {
    let cache = cache(&db, "main").await;
    let nar = push(&db, cache, "a").await;
    let ids: Vec<ChunkId> = nar.manifest.ids().collect();
    db.mark_damaged(&ids, NOW).await.unwrap();
    let beyond: ChunkRuns = ids.iter().copied().chain([ChunkId(ids[0].0 + 1000)]).collect();
    let chunks = db.examine_chunks(&beyond).await.unwrap();
    assert_eq!(chunks.len(), 1, "what has no row is left out");
    assert!(chunks[0].is_damaged);
    assert_eq!((chunks[0].location.id, chunks[0].hash), (ids[0], pack("a", 1).chunks[0].hash));
    let row = db.list_packs(PackId(0), 1).await.unwrap()[0];
    assert_eq!(db.list_pack_chunks(row.id).await.unwrap(), chunks);
    assert!(db.list_chunk_sizes(ChunkId(0), 10).await.unwrap().is_empty());
}

async fn nars_are_listed_in_quarantine_too(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    let a = push(&db, main, "a").await;
    let b = push(&db, other, "b").await;
    assert_eq!(db.quarantined_nars().await.unwrap(), 0);
    db.quarantine_nar(a.id, NOW).await.unwrap();
    assert_eq!(db.quarantined_nars().await.unwrap(), 1);
    let nars = db.list_nars(NarId(0), 10).await.unwrap();
    assert_eq!(nars.iter().map(|nar| (nar.id, nar.is_quarantined)).collect::<Vec<_>>(), [(a.id, true), (b.id, false)]);
    assert_eq!((nars[0].nar_hash, nars[0].manifest.clone().unwrap()), (a.nar_hash, a.manifest));
    assert_eq!(db.list_nars(a.id, 10).await.unwrap().len(), 1);
    assert_eq!(db.list_nar_paths(b.id, 10).await.unwrap(), [(other, store_path("b"))]);
    db.delete_cache(&"other".parse().unwrap(), NOW).await.unwrap();
    assert!(db.list_nar_paths(b.id, 10).await.unwrap().is_empty(), "a cache that is gone has no paths");
}

async fn paths_are_listed_with_what_they_refer_to(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    for name in ["a", "b", "c"] {
        let mut commit = whole(main, name);
        commit.paths[0].info.references.insert(store_path("z"));
        commit_one(&db, &commit).await;
    }
    push(&db, other, "d").await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = db.list_path_links(main, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(*last.path.hash());
        seen.extend(page);
    }
    let mut names: Vec<String> = seen.iter().map(|links| links.path.to_string()).collect();
    names.sort();
    let mut expected: Vec<String> = ["a", "b", "c"].map(|name| store_path(name).to_string()).to_vec();
    expected.sort();
    assert_eq!(names, expected);
    assert!(seen.iter().all(|links| links.has_nar && links.references == [store_path("z")]));
}

async fn documents_are_listed_and_dropped(db: Subject) {
    let cache = cache(&db, "main").await;
    let nar = push(&db, cache, "a").await;
    let pointers: Vec<_> = nar.manifest.ids().map(crate::ChunkPointer::Known).collect();
    let document = |kind, name: &str| NewDocument {
        cache,
        kind,
        name: name.to_owned(),
        manifest: pointers.clone(),
        size: 7,
        now: NOW,
    };
    let documents =
        vec![document(DocumentKind::Log, "x"), document(DocumentKind::Log, "y"), document(DocumentKind::Listing, "x")];
    db.commit(&Commit { documents, ..Commit::default() }).await.unwrap();
    let first = db.list_documents(cache, None, 2).await.unwrap();
    let (kind, name, found) = &first[1];
    let rest = db.list_documents(cache, Some((*kind, name)), 2).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert_eq!((&found.manifest, found.size), (&nar.manifest, 7));
    let other: ChunkRuns = [ChunkId(77)].into_iter().collect();
    assert!(!db.drop_document(cache, DocumentKind::Log, "x", &other).await.unwrap(), "it is another one by now");
    assert!(db.drop_document(cache, DocumentKind::Log, "x", &nar.manifest).await.unwrap());
    assert!(db.find_document(cache, DocumentKind::Log, "x").await.unwrap().is_none());
    assert_eq!(db.list_documents(cache, None, 10).await.unwrap().len(), 2);
}

async fn listings_are_replaced_if_they_are_still_what_they_were(db: Subject) {
    let cache = cache(&db, "main").await;
    let nar = push(&db, cache, "a").await;
    let runs = nar.manifest.clone();
    assert!(!db.set_listing(nar.id, Some(&runs), None).await.unwrap(), "it has none");
    assert!(db.set_listing(nar.id, None, Some(&runs)).await.unwrap());
    assert_eq!(db.find_nar(&nar.nar_hash).await.unwrap().unwrap().listing, Some(runs.clone()));
    assert!(!db.set_listing(nar.id, None, None).await.unwrap(), "it has one");
    assert!(db.set_listing(nar.id, Some(&runs), None).await.unwrap());
    assert_eq!(db.find_nar(&nar.nar_hash).await.unwrap().unwrap().listing, None);
}

async fn only_empty_packs_are_dropped(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "a").await;
    let empty = pack("empty", 0);
    db.commit(&Commit { packs: vec![empty.clone()], ..Commit::default() }).await.unwrap();
    let packs = db.list_packs(PackId(0), 10).await.unwrap();
    assert!(!db.drop_empty_pack(packs[0].id).await.unwrap());
    assert!(db.drop_empty_pack(packs[1].id).await.unwrap());
    assert_eq!(db.find_packs(&[empty.name]).await.unwrap(), [None]);
    assert_eq!(db.list_packs(PackId(0), 10).await.unwrap(), [packs[0]]);
}

async fn a_path_with_a_nar_is_not_dropped(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "a").await;
    assert!(!db.drop_path_without_nar(cache, &path_hash("a")).await.unwrap());
    assert!(db.find_path(cache, &path_hash("a")).await.unwrap().is_some());
}

async fn sizes_leave_out_what_is_hidden(db: Subject) {
    let cache = cache(&db, "main").await;
    let a = push(&db, cache, "a").await;
    push(&db, cache, "b").await;
    let mut sizes = db.list_path_sizes(cache, None, 10).await.unwrap();
    sizes.sort_by_key(|size| size.nar);
    assert_eq!(sizes.len(), 2);
    assert_eq!((sizes[0].path.clone(), sizes[0].nar), (store_path("a"), a.id));
    assert_eq!((sizes[0].nar_size, sizes[0].file_size, sizes[0].created_at), (a.nar_size, a.file_size, NOW));
    assert_eq!(sizes[0].manifest, a.manifest);
    let chunks = db.list_chunk_sizes(ChunkId(0), 10).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| (chunk.stored_size, chunk.size)).collect::<Vec<_>>(), [(1000, 4000); 2]);
    assert_eq!(db.list_chunk_sizes(chunks[0].id, 10).await.unwrap(), chunks[1..]);
    db.quarantine_nar(a.id, NOW).await.unwrap();
    assert_eq!(db.list_path_sizes(cache, None, 10).await.unwrap().len(), 1);
}

async fn progress_and_figures_are_remembered(db: Subject) {
    assert_eq!(db.scrub_progress().await.unwrap(), ScrubProgress::default());
    for read_bytes in [1, 2] {
        let progress =
            ScrubProgress { after_pack: 3, read_bytes, found: 4, ended_at: NOW.0, ..ScrubProgress::default() };
        db.keep_scrub_progress(&progress).await.unwrap();
        assert_eq!(db.scrub_progress().await.unwrap(), progress);
    }
    assert!(db.list_censuses(9).await.unwrap().is_empty());
    let census = |at: i64, figures: &str| Census { taken_at: Timestamp(at), figures: figures.to_owned() };
    let (morning, evening, next) = (census(86_400, "1"), census(2 * 86_400 - 1, "2"), census(2 * 86_400, "3"));
    for census in [&morning, &evening, &next] {
        db.keep_census(census).await.unwrap();
    }
    assert_eq!(db.list_censuses(9).await.unwrap(), [next.clone(), evening]);
    assert_eq!(db.list_censuses(1).await.unwrap(), [next]);
}

async fn traffic_adds_up(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    let traffic = |cache, day, hits, misses| Traffic { cache, day, hits, misses };
    db.add_traffic(&[]).await.unwrap();
    db.add_traffic(&[traffic(main, 1, 1, 0), traffic(main, 2, 1, 1), traffic(other, 2, 0, 5)]).await.unwrap();
    db.add_traffic(&[traffic(main, 2, 2, 3), traffic(crate::CacheId(i64::MAX), 2, 1, 1)]).await.unwrap();
    assert_eq!(db.list_traffic(2).await.unwrap(), [traffic(main, 2, 3, 4), traffic(other, 2, 0, 5)]);
    assert_eq!(db.list_traffic(1).await.unwrap().len(), 3);
    db.delete_cache(&"other".parse().unwrap(), NOW).await.unwrap();
    assert_eq!(db.list_traffic(2).await.unwrap(), [traffic(main, 2, 3, 4)]);
}
