//! After the objects that have records only were merged the storage says what it said before.

use std::time::Duration;

use storage::FaultPlan;

use super::world::World;

/// Some of everything that writes records of its own.
async fn some_of_everything(world: &World) {
    for round in 0..4 {
        world.create("main").await;
        world.create("other").await;
        for path in 0..4 {
            world.push("main", path, path).await;
            world.push("other", path, path + 1).await;
            // The NAR is there, so there is nothing but the record.
            world.push("main", path + 4, path).await;
            world.push("main", path, path + 2).await;
            world.sign("main", path, path).await;
        }
        world.document("main", &format!("log {round}")).await;
        world.make_public("main").await;
        world.rotate_key("other").await;
        world.limit_and_pin("main", 1).await;
        world.remove("main", 2).await;
        world.remove("other", 1).await;
        world.push("main", 2, 3).await;
        if round == 1 {
            world.delete("other").await;
        }
        world.clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_objects_say_what_many_said() {
    let mut world = World::new().await;
    some_of_everything(&world).await;
    world.many_records(64).await;
    world.clock.advance(Duration::from_secs(1));
    assert!(world.record_objects().await > 64);
    assert!(world.collect(FaultPlan::none()).await);
    assert!(world.record_objects().await < 8, "{}", world.record_objects().await);
    world.assert_rebuilt().await;

    // A year of changes of settings takes no more than the first and the last of them.
    for _ in 0..5 {
        for _ in 0..70 {
            world.make_public("main").await;
        }
        world.clock.advance(Duration::from_secs(1));
        assert!(world.collect(FaultPlan::none()).await);
        assert!(world.record_objects().await < 8, "{}", world.record_objects().await);
    }
    world.assert_rebuilt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_changes_are_left_as_they_are() {
    let world = World::new().await;
    world.create("main").await;
    world.make_public("main").await;
    world.clock.advance(Duration::from_secs(1));
    let before = world.record_objects().await;
    assert!(world.collect(FaultPlan::none()).await);
    assert_eq!(world.record_objects().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_may_die_at_any_step() {
    let mut world = World::new().await;
    let mut ends = 0;
    for dies_after in (7..420).step_by(35) {
        some_of_everything(&world).await;
        world.many_records(30).await;
        world.clock.advance(Duration::from_secs(1));
        ends += u32::from(world.collect(FaultPlan::none().dies_after(dies_after)).await);
        world.assert_rebuilt().await;
    }
    assert!(ends < 8, "it hardly ever died: {ends}");
    world.clock.advance(Duration::from_secs(1));
    assert!(world.collect(FaultPlan::none()).await);
    assert!(world.record_objects().await < 64);
    world.assert_rebuilt().await;
}
