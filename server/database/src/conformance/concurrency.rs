//! Many at once: whatever the order, one row for one thing.

use super::{
    Subject,
    fixtures::{NOW, all_of, cache, key, nar, new_cache, pack, path, path_hash, push, shows, whole},
};
use crate::{ChunkPointer, Commit, CommitError, NewPack, PackName, PathOutcome};

checks![
    a_cache_is_made_once,
    a_path_is_made_once,
    a_chunk_is_made_once,
    of_two_stored_forms_one_wins,
    signatures_are_not_lost,
    reads_see_whole_commits,
];

const TASKS: u8 = 16;

/// Runs one task for each number, all at once.
async fn at_once<T: Send + 'static, Doing: Future<Output = T> + Send + 'static>(act: impl Fn(u8) -> Doing) -> Vec<T> {
    let tasks: Vec<_> = (0..TASKS).map(|at| tokio::spawn(act(at))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

async fn a_cache_is_made_once(db: Subject) {
    let made = at_once(|_| {
        let db = db.clone();
        async move { db.create_cache(&new_cache("main")).await.unwrap().is_some() }
    })
    .await;
    assert_eq!(made.into_iter().filter(|&made| made).count(), 1);
}

async fn a_path_is_made_once(db: Subject) {
    let cache = cache(&db, "main").await;
    let outcomes = at_once(|at| {
        let db = db.clone();
        // Each brings a pack of its own with the same chunk, as replicas would.
        let mut commit = whole(cache, "x");
        commit.packs[0].name = PackName([at; 16]);
        async move { db.commit(&commit).await.unwrap()[0] }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == PathOutcome::Created).count(), 1);
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == PathOutcome::Merged).count(), usize::from(TASKS) - 1);
    let totals = db.totals().await.unwrap();
    assert_eq!((totals.paths, totals.nars, totals.chunks), (1, 1, 1));
}

async fn a_chunk_is_made_once(db: Subject) {
    let cache = cache(&db, "main").await;
    at_once(|at| {
        let db = db.clone();
        let name = format!("p{at}");
        // The same chunks, in another order each time.
        let mut pack = NewPack { name: PackName([at; 16]), ..pack("shared", 100) };
        pack.chunks.rotate_left(usize::from(at) * 6);
        let nar = nar(&name, all_of(&pack));
        let commit =
            Commit { packs: vec![pack], paths: vec![path(cache, &name, &nar)], nars: vec![nar], ..Commit::default() };
        async move { assert_eq!(db.commit(&commit).await.unwrap(), [PathOutcome::Created]) }
    })
    .await;
    let totals = db.totals().await.unwrap();
    assert_eq!((totals.paths, totals.nars, totals.chunks), (TASKS.into(), TASKS.into(), 100));
    for at in 0..TASKS {
        let nar = db.find_nar_by_path(cache, &path_hash(&format!("p{at}"))).await.unwrap().unwrap();
        let located = db.locate_chunks(&nar.manifest).await.unwrap();
        let expected: Vec<u32> = (0..100).map(|i| 4000 + (i + u32::from(at) * 6) % 100).collect();
        assert_eq!(located.iter().map(|chunk| chunk.size).collect::<Vec<_>>(), expected);
    }
}

async fn of_two_stored_forms_one_wins(db: Subject) {
    let cache = cache(&db, "main").await;
    let won = at_once(|at| {
        let db = db.clone();
        let mut commit = whole(cache, "x");
        commit.packs[0].name = PackName([at; 16]);
        commit.packs[0].chunks[0].check = at.into();
        async move {
            match db.commit(&commit).await {
                Ok(_) => Some(at),
                Err(CommitError::ChunkRaced) => None,
                Err(other) => panic!("{other:?}"),
            }
        }
    })
    .await;
    let won: Vec<u8> = won.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    let nar = db.find_nar_by_path(cache, &path_hash("x")).await.unwrap().unwrap();
    let located = db.locate_chunks(&nar.manifest).await.unwrap();
    assert_eq!((located[0].pack, located[0].check), (PackName([won[0]; 16]), won[0].into()));
}

async fn signatures_are_not_lost(db: Subject) {
    let cache = cache(&db, "main").await;
    push(&db, cache, "x").await;
    at_once(|at| {
        let db = db.clone();
        let signature = key(&format!("k{at}")).sign("x");
        async move { assert!(db.add_signatures(cache, &path_hash("x"), &[signature]).await.unwrap()) }
    })
    .await;
    let row = db.find_path(cache, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(row.info.signatures.len(), usize::from(TASKS));
}

/// Readers and writers at once: what a reader finds is whole.
async fn reads_see_whole_commits(db: Subject) {
    let cache = cache(&db, "main").await;
    at_once(|at| {
        let db = db.clone();
        async move {
            for round in 0..10 {
                let name = format!("p{}-{round}", at / 2);
                if at % 2 == 0 {
                    let pack = pack(&name, 20);
                    let mut nar = nar(&name, all_of(&pack));
                    nar.manifest.extend(vec![ChunkPointer::New(pack.chunks[0].hash)]);
                    let paths = vec![path(cache, &name, &nar)];
                    let commit = Commit { packs: vec![pack], nars: vec![nar], paths, ..Commit::default() };
                    db.commit(&commit).await.unwrap();
                } else if let Some(nar) = db.find_nar_by_path(cache, &path_hash(&name)).await.unwrap() {
                    assert_eq!(db.locate_chunks(&nar.manifest).await.unwrap().len(), 21);
                    assert!(shows(&db, cache, &name).await);
                    db.touch_paths(&[(cache, path_hash(&name))], NOW).await.unwrap();
                }
            }
        }
    })
    .await;
    assert_eq!(db.totals().await.unwrap().paths, u64::from(TASKS / 2) * 10);
}
