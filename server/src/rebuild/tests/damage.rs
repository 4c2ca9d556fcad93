//! Storage that is not as it should be.

use super::world::{Kind, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_pack_is_reported_and_its_paths_are_not_shown() {
    let mut world = World::new().await;
    world.create("main").await;
    world.push("main", 1, 1).await;
    let first = world.packs().await;
    world.push("main", 2, 2).await;
    let second: Vec<_> = world.packs().await.into_iter().filter(|pack| !first.contains(pack)).collect();
    assert_eq!(second.len(), 1);
    world.cut(&second[0]).await;
    world.lose_index().await;
    let report = world.rebuild_with(|_| ()).await.unwrap();
    assert_eq!(report.damaged_packs.count, 1);
    assert!(!report.is_complete());
    let state = world.state().await;
    assert_eq!(state.paths.len(), 1, "{:?}", state.paths.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_by_verifying_only() {
    let mut world = World::new().await;
    world.create("main").await;
    world.push("main", 1, 1).await;
    world.push("main", 2, 2).await;
    let pack = world.packs().await.remove(0);
    world.flip(&pack).await;
    world.lose_index().await;
    let report = world.rebuild_with(|_| ()).await.unwrap();
    assert!(report.is_complete());
    assert_eq!(world.state().await.paths.len(), 2);

    world.lose_index().await;
    let report = world.rebuild_with(|options| options.verify = true).await.unwrap();
    assert_eq!((report.damaged_frames.count, report.hidden_paths.count), (1, 1), "{report:?}");
    assert_eq!(world.state().await.paths.len(), 1);
}

/// The damage is recorded when it is found, and the NAR that was pushed again is the one that counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_healed_nar_stays_healed() {
    let mut world = World::new().await;
    world.create("main").await;
    world.push("main", 1, 1).await;
    let pack = world.packs().await.remove(0);
    world.flip(&pack).await;
    world.read_damaged("main", 1).await;
    // With another compression: the frames are other bytes.
    world.compress_at(19);
    world.push("main", 1, 1).await;
    world.assert_rebuilt().await;
    let before = world.state().await;
    world.lose_index().await;
    let report = world.rebuild_with(|options| options.verify = true).await.unwrap();
    assert_eq!(report.damaged_nars.count, 1, "{report:?}");
    assert_eq!(report.hidden_paths.count, 0, "{report:?}");
    assert_eq!(world.state().await, before);
}

/// Two servers that do not know of each other store the same chunks as other bytes; each NAR keeps its own frames.
#[tokio::test(flavor = "multi_thread")]
async fn frames_of_one_chunk_may_differ() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        frames_differ(World::on(kind).await).await;
    }
}

async fn frames_differ(mut world: World) {
    world.create("main").await;
    world.push("main", 1, 1).await;
    let first = world.state().await;
    world.lose_index().await;
    world.compress_at(19);
    world.create("second").await;
    world.push("second", 1, 1).await;
    world.push("second", 7, 1).await;
    let second = world.state().await;
    assert_ne!(first.nars, second.nars);
    world.lose_index().await;
    let report = world.rebuild_with(|options| options.verify = true).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    // The first record of the NAR counts, and the very frames that it is about.
    let rebuilt = world.state().await;
    assert_eq!(rebuilt.nars, first.nars);
    assert_eq!(rebuilt.paths.len(), 3);
    world.read_all().await;
}
