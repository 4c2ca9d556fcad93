//! Which chunks the readers of a cache may know of.

use std::collections::BTreeSet;

use protocol::ChunkHash;

use super::{
    Subject,
    fixtures::{NOW, all_of, cache, commit_one, nar, new_cache, new_chunk, pack, path, push, refused, shows, whole},
};
use crate::{CacheId, ChunkPointer, Commit, CommitError, NewPack, PackName, PathOutcome};

checks![
    a_pushed_chunk_is_visible_in_its_cache_only,
    a_chunk_of_unknown_origin_is_visible_nowhere,
    a_chunk_that_comes_again_is_visible_in_both_caches,
    the_nar_that_comes_again_is_visible_in_both_caches,
    a_deduplicated_path_shows_the_chunks_of_its_nar,
    a_known_nar_shows_the_chunks_that_it_is_stored_as,
    a_path_that_is_kept_shows_nothing,
    a_refused_commit_shows_nothing,
    damaged_chunks_are_not_visible,
    a_healed_nar_shows_its_new_chunks,
    deleted_caches_do_not_count,
    many_chunks_in_two_caches,
    many_caches_are_asked_for_at_once,
];

/// The pack `name`, pushed to a cache.
fn pushed(cache: CacheId, name: &str, chunks: u32) -> NewPack {
    let mut pack = pack(name, chunks);
    pack.chunks.iter_mut().for_each(|chunk| chunk.cache = Some(cache));
    pack
}

fn hashes(pack: &NewPack) -> Vec<ChunkHash> {
    pack.chunks.iter().map(|chunk| chunk.hash).collect()
}

async fn commit_pack(db: &Subject, pack: &NewPack) {
    db.commit(&Commit { packs: vec![pack.clone()], ..Commit::default() }).await.unwrap();
}

/// Which of these chunks are visible in the caches. What is found must be what [`crate::Chunks::find_chunks`] finds.
async fn visible(db: &Subject, caches: &[CacheId], hashes: &[ChunkHash]) -> Vec<bool> {
    let found = db.find_visible_chunks(caches, hashes).await.unwrap();
    let known = db.find_chunks(hashes).await.unwrap();
    assert_eq!(found.len(), hashes.len());
    assert!(found.iter().zip(&known).all(|(found, known)| found.is_none() || found == known));
    found.iter().map(Option::is_some).collect()
}

async fn a_pushed_chunk_is_visible_in_its_cache_only(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let pack = pushed(a, "p", 2);
    commit_pack(&db, &pack).await;
    let asked = [pack.chunks[1].hash, new_chunk("nowhere", 0).hash, pack.chunks[0].hash, pack.chunks[1].hash];
    let there = [true, false, true, true];
    assert_eq!(visible(&db, &[a], &asked).await, there);
    assert_eq!(visible(&db, &[b, a, a, CacheId(i64::MAX)], &asked).await, there);
    for caches in [&[b][..], &[], &[CacheId(i64::MAX), CacheId(0)]] {
        assert_eq!(visible(&db, caches, &asked).await, [false; 4], "{caches:?}");
    }
    assert!(visible(&db, &[a], &[]).await.is_empty());
}

async fn a_chunk_of_unknown_origin_is_visible_nowhere(db: Subject) {
    let a = cache(&db, "a").await;
    let pack = pack("p", 1);
    commit_pack(&db, &pack).await;
    assert_eq!(visible(&db, &[a], &hashes(&pack)).await, [false]);
    assert!(db.find_chunks(&hashes(&pack)).await.unwrap()[0].is_some());
}

async fn a_chunk_that_comes_again_is_visible_in_both_caches(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let first = pushed(a, "p", 2);
    commit_pack(&db, &first).await;
    let mut second = pushed(b, "p", 1);
    second.name = PackName([2; 16]);
    commit_pack(&db, &second).await;
    assert_eq!(visible(&db, &[a], &hashes(&first)).await, [true, true]);
    assert_eq!(visible(&db, &[b], &hashes(&first)).await, [true, false]);
    assert_eq!(db.find_chunks(&hashes(&first)).await.unwrap()[0].unwrap().pack, first.name, "it keeps its row");

    // Twice in one commit, to both.
    let mut third = pushed(a, "q", 1);
    third.chunks.extend(pushed(b, "q", 1).chunks);
    commit_pack(&db, &third).await;
    for cache in [a, b] {
        assert_eq!(visible(&db, &[cache], &hashes(&third)).await, [true, true]);
    }
}

async fn the_nar_that_comes_again_is_visible_in_both_caches(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let first = whole(a, "x");
    let chunks = hashes(&first.packs[0]);
    commit_one(&db, &first).await;
    assert_eq!(visible(&db, &[a], &chunks).await, [true]);
    assert_eq!(visible(&db, &[b], &chunks).await, [false]);
    assert_eq!(commit_one(&db, &whole(b, "x")).await, PathOutcome::Created);
    assert_eq!(visible(&db, &[a], &chunks).await, [true]);
    assert_eq!(visible(&db, &[b], &chunks).await, [true]);
}

async fn a_deduplicated_path_shows_the_chunks_of_its_nar(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    // A listing of its own, and chunks beside the NAR's: neither is the NAR's.
    let pack = pushed(a, "p", 5);
    let mut nar = nar("x", all_of(&pack).drain(1..3).collect());
    nar.manifest.push(ChunkPointer::New(pack.chunks[1].hash));
    nar.listing = Some(vec![ChunkPointer::New(pack.chunks[3].hash)]);
    let paths = vec![path(a, "x", &nar)];
    let first = Commit { packs: vec![pack.clone()], nars: vec![nar.clone()], paths, ..Commit::default() };
    commit_one(&db, &first).await;
    // By another name even.
    let again = Commit { paths: vec![path(b, "y", &nar)], ..Commit::default() };
    assert_eq!(commit_one(&db, &again).await, PathOutcome::Created);
    assert_eq!(visible(&db, &[b], &hashes(&pack)).await, [false, true, true, false, false]);
    assert_eq!(visible(&db, &[a], &hashes(&pack)).await, [true; 5]);
}

async fn a_known_nar_shows_the_chunks_that_it_is_stored_as(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    push(&db, a, "x").await;
    // The same NAR, cut in another way.
    let pack = pack("other cut", 2);
    let nar = nar("x", all_of(&pack));
    let paths = vec![path(b, "x", &nar)];
    let again = Commit { packs: vec![pack.clone()], nars: vec![nar], paths, ..Commit::default() };
    assert_eq!(commit_one(&db, &again).await, PathOutcome::Created);
    assert_eq!(visible(&db, &[b], &[new_chunk("x", 0).hash]).await, [true]);
    assert_eq!(visible(&db, &[b], &hashes(&pack)).await, [false, false]);
}

async fn a_path_that_is_kept_shows_nothing(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    push(&db, a, "x").await;
    push(&db, b, "y").await;
    let commit = Commit { paths: vec![path(b, "y", &nar("x", Vec::new()))], ..Commit::default() };
    assert_eq!(commit_one(&db, &commit).await, PathOutcome::KeptOther);
    let asked = [new_chunk("x", 0).hash, new_chunk("y", 0).hash];
    assert_eq!(visible(&db, &[b], &asked).await, [false, true]);
}

async fn a_refused_commit_shows_nothing(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    push(&db, a, "x").await;
    let mut commit = Commit { packs: vec![pushed(b, "p", 1)], ..Commit::default() };
    commit.paths.push(path(b, "x", &nar("x", Vec::new())));
    commit.paths.push(path(b, "bad", &nar("nowhere", Vec::new())));
    assert!(matches!(refused(&db, &commit).await, CommitError::NarGone));
    assert_eq!(visible(&db, &[b], &[new_chunk("x", 0).hash, new_chunk("p", 0).hash]).await, [false, false]);
}

async fn damaged_chunks_are_not_visible(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    for cache in [a, b] {
        let mut pack = pushed(cache, "p", 2);
        pack.name = PackName(cache.0.to_be_bytes().repeat(2).try_into().unwrap());
        commit_pack(&db, &pack).await;
    }
    let asked = hashes(&pack("p", 2));
    let damaged = db.find_visible_chunks(&[a], &asked).await.unwrap()[0].unwrap().id;
    db.mark_damaged(&[damaged], NOW).await.unwrap();
    assert_eq!(visible(&db, &[a, b], &asked).await, [false, true]);
    // Stored anew, it is another chunk, which only one of them has seen.
    let mut again = pushed(b, "p", 1);
    again.name = PackName([9; 16]);
    commit_pack(&db, &again).await;
    assert_eq!(visible(&db, &[a], &asked).await, [false, true]);
    assert_eq!(visible(&db, &[b], &asked).await, [true, true]);
}

async fn a_healed_nar_shows_its_new_chunks(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let broken = push(&db, a, "x").await;
    commit_one(&db, &whole(b, "x")).await;
    db.mark_damaged(&broken.manifest.ids().collect::<Vec<_>>(), NOW).await.unwrap();
    db.quarantine_nar(broken.id, NOW).await.unwrap();
    let asked = [new_chunk("x", 0).hash];
    let mut again = whole(a, "x");
    again.packs[0].name = PackName([2; 16]);
    assert_eq!(commit_one(&db, &again).await, PathOutcome::Created);
    assert_eq!(visible(&db, &[a], &asked).await, [true]);
    // The other cache shows the path all along; to be told of the new chunks it needs a push of its own.
    assert!(shows(&db, b, "x").await);
    let merged = Commit { paths: vec![path(b, "x", &again.nars[0])], ..Commit::default() };
    assert_eq!(commit_one(&db, &merged).await, PathOutcome::Merged);
    assert_eq!(visible(&db, &[b], &asked).await, [true]);
}

async fn deleted_caches_do_not_count(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    let both = pushed(a, "both", 1);
    commit_pack(&db, &both).await;
    commit_pack(&db, &NewPack { name: PackName([2; 16]), ..pushed(b, "both", 1) }).await;
    push(&db, a, "x").await;
    db.delete_cache(&"a".parse().unwrap(), NOW).await.unwrap();
    let asked = [both.chunks[0].hash, new_chunk("x", 0).hash];
    let namesake = db.create_cache(&new_cache("a")).await.unwrap().unwrap().id;
    assert_eq!(visible(&db, &[a, namesake], &asked).await, [false, false]);
    assert_eq!(visible(&db, &[a, b], &asked).await, [true, false]);

    // What was pushed to it meanwhile does not hinder the others in the same pack.
    let mut late = pushed(a, "late", 2);
    late.chunks[1].cache = Some(b);
    commit_pack(&db, &late).await;
    assert_eq!(visible(&db, &[a, b], &hashes(&late)).await, [false, true]);
}

async fn many_chunks_in_two_caches(db: Subject) {
    let (a, b) = (cache(&db, "a").await, cache(&db, "b").await);
    // One path a chunk in turn, and then one NAR of every third chunk, backwards: no two are neighbours.
    let pack = pack("p", 2400);
    let mut commit = Commit::default();
    for (at, chunk) in pack.chunks.iter().enumerate() {
        let nar = nar(&format!("n{at}"), vec![ChunkPointer::New(chunk.hash)]);
        commit.paths.push(path(if at % 2 == 0 { a } else { b }, &format!("p{at}"), &nar));
        commit.nars.push(nar);
    }
    let asked = hashes(&pack);
    let thirds = nar("thirds", asked.iter().rev().step_by(3).map(|&hash| ChunkPointer::New(hash)).collect());
    commit.paths.push(path(a, "thirds", &thirds));
    commit.nars.push(thirds);
    commit.packs.push(pack);
    assert_eq!(db.commit(&commit).await.unwrap(), vec![PathOutcome::Created; 2401]);
    let in_a: Vec<bool> = (0..2400).map(|at| at % 2 == 0 || at % 3 == 2).collect();
    let in_b: Vec<bool> = (0..2400).map(|at| at % 2 == 1).collect();
    assert_eq!(visible(&db, &[a], &asked).await, in_a);
    assert_eq!(visible(&db, &[b], &asked).await, in_b);
    assert_eq!(visible(&db, &[a, b], &asked).await, [true; 2400]);
}

async fn many_caches_are_asked_for_at_once(db: Subject) {
    let mut caches = BTreeSet::new();
    for at in 0..30 {
        let cache = cache(&db, &format!("c{at}")).await;
        caches.insert(cache);
        commit_pack(&db, &pushed(cache, &format!("p{at}"), 1)).await;
    }
    let caches: Vec<_> = caches.into_iter().collect();
    let asked: Vec<_> = (0..30).map(|at| new_chunk(&format!("p{at}"), 0).hash).collect();
    assert_eq!(visible(&db, &caches, &asked).await, [true; 30]);
    let but_two: Vec<bool> = (0..30).map(|at| at != 7 && at != 29).collect();
    let readable: Vec<_> = caches.iter().zip(&but_two).filter_map(|(&cache, &reads)| reads.then_some(cache)).collect();
    assert_eq!(visible(&db, &readable, &asked).await, but_two);
}
