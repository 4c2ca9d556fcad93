//! What was pushed, deleted, pushed again and configured, before and after the index is lost.

mod damage;
mod merged;
mod promoted;
mod random;
mod world;

use std::time::Duration;

use world::{Kind, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_comes_back_as_it_was() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        comes_back(World::on(kind).await).await;
    }
}

async fn comes_back(mut world: World) {
    world.create("main").await;
    world.create("other").await;
    world.push("main", 1, 1).await;
    world.push("main", 2, 2).await;
    // The same NAR in another cache, and a path with another NAR, which stays out.
    world.push("other", 1, 1).await;
    world.push("main", 1, 3).await;
    world.sign("main", 1, 1).await;
    world.document("main", "a log").await;
    world.clock.advance(Duration::from_secs(5));
    world.document("main", "another log").await;
    world.remove("main", 2).await;
    world.make_public("other").await;
    world.rotate_key("main").await;
    world.limit_and_pin("main", 1).await;
    world.assert_rebuilt().await;

    // Once more, over what is there.
    let before = world.state().await;
    let report = world.rebuild_with(|options| options.resume = true).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(world.state().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_cache_takes_its_paths_with_it() {
    let mut world = World::new().await;
    world.create("main").await;
    world.push("main", 1, 1).await;
    world.delete("main").await;
    world.create("main").await;
    world.push("main", 2, 2).await;
    world.assert_rebuilt().await;
    world.delete("main").await;
    world.assert_rebuilt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_has_something_is_left_alone() {
    let world = World::new().await;
    world.create("main").await;
    world.push("main", 1, 1).await;
    let before = world.state().await;
    let refused = world.rebuild_with(|_| ()).await.unwrap_err();
    assert!(matches!(refused, super::RebuildError::NotEmpty { caches: 1, paths: 1 }), "{refused:?}");
    assert_eq!(world.state().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_all_but_the_keys_comes_back() {
    let mut world = World::new().await;
    world.create("main").await;
    world.push("main", 1, 1).await;
    let before = world.state().await;
    world.seal = crate::journal::Seal::of(b"another secret");
    world.lose_index().await;
    let report = world.rebuild_with(|_| ()).await.unwrap();
    assert!(!report.is_complete());
    assert_eq!(report.lost_keys.len(), 1);
    let after = world.state().await;
    assert_eq!(after.paths, before.paths);
    let key = &after.caches["main"].keys[0];
    assert!(key.starts_with("main-rebuilt:"), "{key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_no_record_describes_is_assumed() {
    let mut world = World::new().await;
    // As it was before caches were recorded.
    world.create_unrecorded("main").await;
    world.push("main", 1, 1).await;
    let before = world.state().await;
    world.lose_index().await;
    let report = world.rebuild_with(|_| ()).await.unwrap();
    assert_eq!(report.assumed_caches, ["main"]);
    assert_eq!(world.state().await.paths, before.paths);

    // A start of the server records it, and its key with it.
    world.note_caches().await;
    world.assert_rebuilt().await;
}
