//! Chunks: found by name, read by row.

use protocol::ChunkHash;

use super::{
    Subject,
    fixtures::{NOW, all_of, cache, nar, new_chunk, pack, path, path_hash},
};
use crate::{ChunkId, ChunkLocation, ChunkPointer, ChunkRuns, Commit, Error, NewChunk, NewPack, PackName};

checks![
    a_chunk_is_found_where_it_was_put,
    answers_come_in_the_order_asked,
    new_chunks_are_neighbours,
    a_known_chunk_keeps_its_row,
    damaged_chunks_are_stored_anew,
    a_manifest_is_located_in_its_order,
    a_manifest_of_many_runs_is_located,
    a_chunk_without_a_row_is_told,
    a_large_pack_is_committed_at_once,
];

async fn commit_packs(db: &Subject, packs: impl IntoIterator<Item = NewPack>) {
    db.commit(&Commit { packs: packs.into_iter().collect(), ..Commit::default() }).await.unwrap();
}

async fn find(db: &Subject, chunks: &[NewChunk]) -> Vec<Option<ChunkLocation>> {
    db.find_chunks(&chunks.iter().map(|chunk| chunk.hash).collect::<Vec<_>>()).await.unwrap()
}

async fn ids(db: &Subject, pack: &NewPack) -> Vec<ChunkId> {
    find(db, &pack.chunks).await.into_iter().map(|chunk| chunk.unwrap().id).collect()
}

fn expected(pack: PackName, id: ChunkId, chunk: &NewChunk) -> ChunkLocation {
    let NewChunk { offset, stored_size, size, check, .. } = *chunk;
    ChunkLocation { id, pack, offset, stored_size, size, check }
}

async fn a_chunk_is_found_where_it_was_put(db: Subject) {
    let extreme = NewChunk {
        hash: ChunkHash([0xff; 32]),
        offset: 1 << 40,
        stored_size: u32::MAX,
        size: u32::MAX,
        check: u32::MAX,
        cache: None,
    };
    let least = NewChunk { hash: ChunkHash([0; 32]), offset: 0, stored_size: 0, size: 0, check: 0, cache: None };
    let pack = NewPack { name: PackName([0xab; 16]), size: 1 << 41, chunks: vec![extreme, least] };
    commit_packs(&db, [pack.clone()]).await;
    let found = find(&db, &pack.chunks).await;
    for (chunk, found) in pack.chunks.iter().zip(found) {
        let found = found.unwrap();
        assert_eq!(found, expected(pack.name, found.id, chunk));
        let located = db.locate_chunks(&[found.id].into_iter().collect()).await.unwrap();
        assert_eq!(located, [found]);
    }
    assert!(db.find_chunks(&[]).await.unwrap().is_empty());
    assert!(db.locate_chunks(&ChunkRuns::default()).await.unwrap().is_empty());
}

async fn answers_come_in_the_order_asked(db: Subject) {
    let known = pack("known", 1500);
    commit_packs(&db, [known.clone()]).await;
    let ids = ids(&db, &known).await;
    // Known and unknown ones in turn, backwards, the first one again at the end: more than one batch.
    let mut asked: Vec<NewChunk> =
        (0..1500).rev().flat_map(|at| [new_chunk("known", at), new_chunk("unknown", at)]).collect();
    asked.push(new_chunk("known", 1499));
    let found = find(&db, &asked).await;
    assert_eq!(found.len(), asked.len());
    for at in 0..1500 {
        assert_eq!(found[2 * at].unwrap().id, ids[1499 - at]);
        assert_eq!(found[2 * at + 1], None);
    }
    assert_eq!(found[3000], found[0]);
}

async fn new_chunks_are_neighbours(db: Subject) {
    let (first, second) = (pack("first", 2500), pack("second", 10));
    let mut first = first;
    // The order is that of the pack, not of the names.
    first.chunks.sort_unstable_by_key(|chunk| std::cmp::Reverse(chunk.hash));
    commit_packs(&db, [first.clone()]).await;
    commit_packs(&db, [second.clone()]).await;
    let runs: ChunkRuns = ids(&db, &first).await.into_iter().collect();
    assert_eq!(runs.runs().len(), 1, "new chunks of one pack are one run");
    let later = ids(&db, &second).await;
    assert!(runs.ids().max().unwrap() < later[0]);
    assert!(later.is_sorted());
}

async fn a_known_chunk_keeps_its_row(db: Subject) {
    let first = pack("first", 3);
    commit_packs(&db, [first.clone()]).await;
    let before = find(&db, &first.chunks).await;
    let mut second = pack("second", 2);
    second.chunks.splice(1..1, first.chunks.clone());
    commit_packs(&db, [second.clone()]).await;
    assert_eq!(find(&db, &first.chunks).await, before);
    assert_eq!(db.totals().await.unwrap().chunks, 5);

    // In one commit, the first of two is kept.
    let third = pack("third", 2);
    let fourth = NewPack { name: PackName([4; 16]), ..third.clone() };
    commit_packs(&db, [third.clone(), fourth]).await;
    assert!(find(&db, &third.chunks).await.iter().all(|chunk| chunk.unwrap().pack == third.name));
    assert_eq!(db.totals().await.unwrap().chunks, 7);
}

async fn damaged_chunks_are_stored_anew(db: Subject) {
    let cache = cache(&db, "main").await;
    let first = pack("p", 4);
    let nar = nar("x", all_of(&first));
    let commit = Commit {
        packs: vec![first.clone()],
        paths: vec![path(cache, "x", &nar)],
        nars: vec![nar],
        ..Commit::default()
    };
    db.commit(&commit).await.unwrap();
    let before = find(&db, &first.chunks).await;
    let damaged = [before[1].unwrap().id, before[3].unwrap().id, ChunkId(i64::MAX)];
    db.mark_damaged(&damaged, NOW).await.unwrap();
    db.mark_damaged(&damaged, NOW).await.unwrap();
    db.mark_damaged(&[], NOW).await.unwrap();
    assert_eq!(find(&db, &first.chunks).await, [before[0], None, before[2], None]);
    assert_eq!(db.totals().await.unwrap().chunks, 2);

    // Stored anew, as other bytes even: what was there does not count any more.
    let mut again = NewPack { name: PackName([2; 16]), ..first.clone() };
    again.chunks.retain(|chunk| *chunk == first.chunks[1] || *chunk == first.chunks[3]);
    again.chunks[0].stored_size += 1;
    commit_packs(&db, [again.clone()]).await;
    let healed = find(&db, &again.chunks).await;
    for (chunk, healed) in again.chunks.iter().zip(&healed) {
        let healed = healed.unwrap();
        assert!(!damaged.contains(&healed.id));
        assert_eq!(healed, expected(again.name, healed.id, chunk));
    }
    // What was written before still says what it said.
    let manifest = db.find_nar_by_path(cache, &path_hash("x")).await.unwrap().unwrap().manifest;
    let located: Vec<_> = db.locate_chunks(&manifest).await.unwrap().into_iter().map(Some).collect();
    assert_eq!(located, before);
}

async fn a_manifest_is_located_in_its_order(db: Subject) {
    let (a, b) = (pack("a", 5), pack("b", 5));
    commit_packs(&db, [a.clone(), b.clone()]).await;
    let (a, b) = (ids(&db, &a).await, ids(&db, &b).await);
    let order = [b[3], b[4], a[0], a[1], a[2], a[0], a[0], b[0], a[4], b[4]];
    let located = db.locate_chunks(&order.into_iter().collect()).await.unwrap();
    assert_eq!(located.iter().map(|chunk| chunk.id).collect::<Vec<_>>(), order);
}

async fn a_manifest_of_many_runs_is_located(db: Subject) {
    let cache = cache(&db, "main").await;
    let known = pack("known", 5000);
    commit_packs(&db, [known.clone()]).await;
    // Every other chunk is known, backwards: hardly two are neighbours.
    let fresh = pack("fresh", 2500);
    let known = ids(&db, &known).await;
    let mut manifest = Vec::new();
    for (at, chunk) in fresh.chunks.iter().enumerate() {
        manifest.push(ChunkPointer::Known(known[4999 - 2 * at]));
        manifest.push(ChunkPointer::New(chunk.hash));
    }
    let nar = nar("x", manifest.clone());
    let commit = Commit {
        packs: vec![fresh.clone()],
        paths: vec![path(cache, "x", &nar)],
        nars: vec![nar],
        ..Commit::default()
    };
    db.commit(&commit).await.unwrap();
    let fresh = ids(&db, &fresh).await;
    let found = db.find_nar_by_path(cache, &path_hash("x")).await.unwrap().unwrap();
    let located = db.locate_chunks(&found.manifest).await.unwrap();
    assert_eq!(located.len(), 5000);
    for at in 0..2500 {
        assert_eq!(located[2 * at].id, known[4999 - 2 * at]);
        assert_eq!(located[2 * at + 1].id, fresh[at]);
        assert_eq!(located[2 * at + 1].size, 4000 + u32::try_from(at).unwrap());
    }
}

async fn a_chunk_without_a_row_is_told(db: Subject) {
    let known = pack("known", 3);
    commit_packs(&db, [known.clone()]).await;
    let ids = ids(&db, &known).await;
    let beyond = ChunkId(ids[2].0 + 1);
    for order in [vec![beyond], vec![ids[0], ids[1], ids[2], beyond], vec![beyond, ids[0]], vec![ChunkId(0)]] {
        let located = db.locate_chunks(&order.iter().copied().collect()).await;
        assert!(matches!(located, Err(Error::Inconsistent { table: "chunk", .. })), "{order:?}: {located:?}");
    }
}

async fn a_large_pack_is_committed_at_once(db: Subject) {
    let large = pack("large", 10_000);
    commit_packs(&db, [large.clone()]).await;
    let totals = db.totals().await.unwrap();
    assert_eq!((totals.chunks, totals.stored_bytes), (10_000, large.size));
    assert!(ids(&db, &large).await.is_sorted());
}
