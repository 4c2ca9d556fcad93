//! Packs: how much of them is in use, what takes their place, and the graves of their objects.

use std::time::Duration;

use protocol::Timestamp;

use crate::{
    ChunkLocation, Commit, CommitError, Grave, MovedRun, NewPack, PackId, PackName, PackUse, Rewrite,
    conformance::{
        Subject,
        fixtures::{NOW, all_of, cache, commit_one, nar, nar_hash, pack, path, path_hash, push, refused, whole},
    },
};

checks![
    packs_are_read_with_how_much_of_them_is_in_use,
    names_are_read_in_their_order,
    the_chunks_of_a_pack_come_in_their_order,
    chunks_move_to_another_pack,
    an_old_pack_stays_while_a_chunk_is_in_it,
    a_pack_with_nothing_in_it_goes,
    a_rewrite_once_more_changes_nothing,
    strays_are_seen_once,
    what_has_a_row_is_not_doomed,
    a_doomed_object_cannot_be_committed,
    what_is_gone_is_remembered,
    what_is_true_of_paths_and_nars,
];

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

async fn commit(db: &Subject, packs: impl IntoIterator<Item = NewPack>) {
    db.commit(&Commit { packs: packs.into_iter().collect(), ..Commit::default() }).await.unwrap();
}

async fn row(db: &Subject, name: PackName) -> PackUse {
    let rows = db.scan_packs(None, 1000).await.unwrap();
    rows.into_iter().find(|pack| pack.name == name).unwrap()
}

async fn located(db: &Subject, pack: &NewPack) -> Vec<ChunkLocation> {
    let hashes: Vec<_> = pack.chunks.iter().map(|chunk| chunk.hash).collect();
    db.find_chunks(&hashes).await.unwrap().into_iter().map(Option::unwrap).collect()
}

async fn graves(db: &Subject) -> Vec<Grave> {
    db.graves(None, 1000).await.unwrap()
}

async fn packs_are_read_with_how_much_of_them_is_in_use(db: Subject) {
    let packs = [pack("a", 3), pack("b", 2), pack("empty", 0)];
    commit(&db, packs.clone()).await;
    let chunk = located(&db, &packs[0]).await[1].id;
    db.mark_damaged(&[chunk], NOW).await.unwrap();
    let gone = located(&db, &packs[1]).await[0].id.0;
    db.condemn_chunks(&[(gone, gone)], NOW).await.unwrap();
    db.remove_chunks(&[(gone, gone)], NOW).await.unwrap();
    let first = db.scan_packs(None, 2).await.unwrap();
    let rest = db.scan_packs(Some(first[1].id), 2).await.unwrap();
    let told: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|pack| (pack.name, pack.size, pack.live_bytes, pack.live_chunks, pack.damaged_chunks))
        .collect();
    let [a, b, empty] = packs.map(|pack| (pack.name, pack.size));
    assert_eq!(told, [(a.0, a.1, 3000, 3, 1), (b.0, b.1, 1000, 1, 0), (empty.0, empty.1, 0, 0, 0)]);
    assert!(db.scan_packs(Some(rest[0].id), 2).await.unwrap().is_empty());
    assert!(first.iter().all(|pack| pack.examined_live.is_none()));
    db.note_examined(first[0].id, 3000).await.unwrap();
    assert_eq!(row(&db, a.0).await.examined_live, Some(3000));
    assert_eq!(row(&db, b.0).await.examined_live, None);
}

async fn names_are_read_in_their_order(db: Subject) {
    let mut names: Vec<PackName> = [0x80_u8, 0, 0xff, 0x7f].map(|byte| PackName([byte; 16])).to_vec();
    commit(&db, names.iter().map(|&name| NewPack { name, size: 1, chunks: Vec::new() })).await;
    names.sort_unstable_by_key(|name| name.0);
    let first = db.scan_pack_names(None, 3).await.unwrap();
    let rest = db.scan_pack_names(first.last().copied(), 3).await.unwrap();
    assert_eq!([&first[..], &rest[..]].concat(), names);
    assert_eq!(db.find_pack(names[2]).await.unwrap(), Some(row(&db, names[2]).await.id));
    assert_eq!(db.find_pack(PackName([1; 16])).await.unwrap(), None);
}

async fn the_chunks_of_a_pack_come_in_their_order(db: Subject) {
    let mut new = pack("a", 4);
    new.chunks.reverse();
    commit(&db, [new.clone(), pack("b", 2)]).await;
    let locations = located(&db, &new).await;
    db.mark_damaged(&[locations[2].id], NOW).await.unwrap();
    let chunks = db.chunks_of_pack(row(&db, new.name).await.id).await.unwrap();
    assert!(chunks.is_sorted_by_key(|chunk| chunk.offset), "by place, as they are read");
    assert_eq!(chunks.len(), 4);
    for (chunk, (new, location)) in chunks.iter().zip(new.chunks.iter().zip(&locations).rev()) {
        assert_eq!((chunk.id, chunk.hash, chunk.offset), (location.id, new.hash, new.offset));
        assert_eq!((chunk.stored_size, chunk.size, chunk.check), (new.stored_size, new.size, new.check));
        assert_eq!(chunk.is_damaged, location.id == locations[2].id);
    }
}

async fn chunks_move_to_another_pack(db: Subject) {
    let main = cache(&db, "main").await;
    let (a, b) = (pack("a", 4), pack("b", 2));
    let nars = [nar("a", all_of(&a)), nar("b", all_of(&b))];
    let paths = vec![path(main, "a", &nars[0]), path(main, "b", &nars[1])];
    db.commit(&Commit { packs: vec![a.clone(), b.clone()], nars: nars.into(), paths, ..Commit::default() })
        .await
        .unwrap();
    let before = [located(&db, &a).await, located(&db, &b).await];
    let rows = [row(&db, a.name).await, row(&db, b.name).await];
    let new = PackName([7; 16]);
    let rewrite = Rewrite {
        pack: Some((new, 6064)),
        moved: vec![
            MovedRun { from: rows[0].id, first: before[0][0].id, last: before[0][3].id, shift: 2000 },
            MovedRun { from: rows[1].id, first: before[1][0].id, last: before[1][1].id, shift: 0 },
        ],
        old: rows.map(|row| row.id).into(),
    };
    assert_eq!(db.rewrite_packs(&rewrite, after(3)).await.unwrap(), 2);
    for ((pack, before), shift) in [&a, &b].into_iter().zip(&before).zip([2000, 0]) {
        let moved: Vec<_> =
            before.iter().map(|chunk| ChunkLocation { pack: new, offset: chunk.offset + shift, ..*chunk }).collect();
        assert_eq!(located(&db, pack).await, moved);
    }
    let nar = db.find_nar_by_path(main, &path_hash("a")).await.unwrap().unwrap();
    assert!(db.locate_chunks(&nar.manifest).await.unwrap().iter().all(|chunk| chunk.pack == new));
    let rest = db.scan_packs(None, 10).await.unwrap();
    assert_eq!(rest.iter().map(|pack| (pack.name, pack.size, pack.live_chunks)).collect::<Vec<_>>(), [(new, 6064, 6)]);
    let mut expected = [&a, &b].map(|pack| Grave {
        name: pack.name,
        size: pack.size,
        seen_at: after(3),
        doomed_at: Some(after(3)),
        gone_at: None,
    });
    expected.sort_by_key(|grave| grave.name.0);
    assert_eq!(graves(&db).await, expected);
    assert_eq!(db.graves(Some(expected[0].name), 10).await.unwrap(), expected[1..]);
}

async fn an_old_pack_stays_while_a_chunk_is_in_it(db: Subject) {
    let a = pack("a", 4);
    commit(&db, [a.clone()]).await;
    let before = located(&db, &a).await;
    // One is damaged since it was copied; another was left where it is.
    db.mark_damaged(&[before[1].id], NOW).await.unwrap();
    let old = row(&db, a.name).await.id;
    let new = PackName([7; 16]);
    let rewrite = Rewrite {
        pack: Some((new, 3064)),
        moved: vec![MovedRun { from: old, first: before[0].id, last: before[2].id, shift: 5 }],
        old: vec![old],
    };
    assert_eq!(db.rewrite_packs(&rewrite, NOW).await.unwrap(), 0);
    let chunks = db.chunks_of_pack(old).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.id).collect::<Vec<_>>(), [before[1].id, before[3].id]);
    assert!(graves(&db).await.is_empty());
    assert_eq!(row(&db, new).await.live_chunks, 2);
}

async fn a_pack_with_nothing_in_it_goes(db: Subject) {
    commit(&db, [pack("empty", 0), pack("full", 1)]).await;
    let (empty, full) = (row(&db, pack("empty", 0).name).await, row(&db, pack("full", 1).name).await);
    let rewrite = Rewrite { pack: None, moved: Vec::new(), old: vec![empty.id, full.id, PackId(i64::MAX)] };
    assert_eq!(db.rewrite_packs(&rewrite, NOW).await.unwrap(), 1);
    assert_eq!(graves(&db).await.iter().map(|grave| grave.name).collect::<Vec<_>>(), [empty.name]);
    assert_eq!(db.find_pack(full.name).await.unwrap(), Some(full.id));
}

/// As a collector does that was not told that its first attempt went well.
async fn a_rewrite_once_more_changes_nothing(db: Subject) {
    let a = pack("a", 2);
    commit(&db, [a.clone()]).await;
    let before = located(&db, &a).await;
    let old = row(&db, a.name).await.id;
    let rewrite = Rewrite {
        pack: Some((PackName([7; 16]), 2064)),
        moved: vec![MovedRun { from: old, first: before[0].id, last: before[1].id, shift: 10 }],
        old: vec![old],
    };
    assert_eq!(db.rewrite_packs(&rewrite, NOW).await.unwrap(), 1);
    let once = (located(&db, &a).await, graves(&db).await);
    assert_eq!(db.rewrite_packs(&rewrite, after(5)).await.unwrap(), 0);
    assert_eq!((located(&db, &a).await, graves(&db).await), once);
}

async fn strays_are_seen_once(db: Subject) {
    let name = PackName([1; 16]);
    for at in [0, 5] {
        db.note_strays(&[(name, 77)], after(at)).await.unwrap();
        let grave = Grave { name, size: 77, seen_at: NOW, doomed_at: None, gone_at: None };
        assert_eq!(graves(&db).await, [grave]);
    }
    assert!(db.doom(name, after(9)).await.unwrap());
    assert!(db.doom(name, after(12)).await.unwrap());
    assert_eq!(graves(&db).await[0].doomed_at, Some(after(9)), "the first time counts");
    assert!(!db.doom(PackName([2; 16]), NOW).await.unwrap(), "nobody saw it");
}

async fn what_has_a_row_is_not_doomed(db: Subject) {
    let a = pack("a", 1);
    db.note_strays(&[(a.name, a.size)], NOW).await.unwrap();
    commit(&db, [a.clone()]).await;
    assert!(graves(&db).await.is_empty(), "it was under way, and is known now");
    // A listing that is older than the row.
    db.note_strays(&[(a.name, a.size)], NOW).await.unwrap();
    assert!(!db.doom(a.name, after(1)).await.unwrap());
    assert_eq!(graves(&db).await[0].doomed_at, None);
    db.forget_grave(a.name).await.unwrap();
    assert!(graves(&db).await.is_empty());
}

async fn a_doomed_object_cannot_be_committed(db: Subject) {
    let main = cache(&db, "main").await;
    let new = whole(main, "x");
    let name = new.packs[0].name;
    db.note_strays(&[(name, 1)], NOW).await.unwrap();
    assert!(db.doom(name, NOW).await.unwrap());
    assert!(matches!(refused(&db, &new).await, CommitError::ChunkGone));
    db.note_gone(name, after(1)).await.unwrap();
    assert!(matches!(refused(&db, &new).await, CommitError::ChunkGone), "its object is no more");
    db.forget_grave(name).await.unwrap();
    commit_one(&db, &new).await;
}

async fn what_is_gone_is_remembered(db: Subject) {
    let a = pack("a", 0);
    commit(&db, [a.clone()]).await;
    let old = vec![row(&db, a.name).await.id];
    db.rewrite_packs(&Rewrite { pack: None, moved: Vec::new(), old }, NOW).await.unwrap();
    db.note_gone(a.name, after(7)).await.unwrap();
    let grave = Grave { name: a.name, size: a.size, seen_at: NOW, doomed_at: Some(NOW), gone_at: Some(after(7)) };
    assert_eq!(graves(&db).await, [grave]);
    db.note_strays(&[(a.name, a.size)], after(9)).await.unwrap();
    assert_eq!(graves(&db).await, [grave], "seen again, it is still the one that went");
}

async fn what_is_true_of_paths_and_nars(db: Subject) {
    let main = cache(&db, "main").await;
    let nar = push(&db, main, "x").await;
    assert_eq!(db.nar_of_path("main", &path_hash("x")).await.unwrap(), Some(nar_hash("x")));
    assert_eq!(db.nar_of_path("main", &path_hash("y")).await.unwrap(), None);
    assert_eq!(db.nar_of_path("other", &path_hash("x")).await.unwrap(), None);
    db.quarantine_nar(nar.id, NOW).await.unwrap();
    assert_eq!(db.nar_of_path("main", &path_hash("x")).await.unwrap(), Some(nar_hash("x")));
    assert_eq!(db.file_of_nar(&nar_hash("x")).await.unwrap(), Some(nar.file_hash));
    assert_eq!(db.file_of_nar(&nar_hash("y")).await.unwrap(), None);
    // Asking for a record's sake is no use.
    db.condemn_paths(main, &[(path_hash("x"), NOW)], NOW).await.unwrap();
    db.nar_of_path("main", &path_hash("x")).await.unwrap();
    assert_eq!(db.remove_paths(main, &[path_hash("x")], NOW, NOW).await.unwrap(), [true]);
    db.delete_cache(&"main".parse().unwrap(), NOW).await.unwrap();
    let again = cache(&db, "main").await;
    assert_eq!(db.nar_of_path("main", &path_hash("x")).await.unwrap(), None);
    commit_one(&db, &whole(again, "z")).await;
    assert_eq!(db.nar_of_path("main", &path_hash("z")).await.unwrap(), Some(nar_hash("z")));
}
