//! Any sequence of events.

use std::time::Duration;

use proptest::prelude::*;
use storage::FaultPlan;

use super::world::World;

#[derive(Debug, Clone)]
enum Event {
    Create(u8),
    Delete(u8),
    Public(u8),
    Key(u8),
    Push { cache: u8, path: u8, nar: u8 },
    Sign { cache: u8, path: u8, nar: u8 },
    Document { cache: u8, text: u8 },
    Remove { cache: u8, path: u8 },
    Wait,
    Collect,
}

fn event() -> impl Strategy<Value = Event> {
    let cache = 0..2_u8;
    let path = 0..3_u8;
    let nar = 0..3_u8;
    prop_oneof![
        2 => cache.clone().prop_map(Event::Create),
        1 => cache.clone().prop_map(Event::Delete),
        1 => cache.clone().prop_map(Event::Public),
        1 => cache.clone().prop_map(Event::Key),
        8 => (cache.clone(), path.clone(), nar.clone()).prop_map(|(cache, path, nar)| Event::Push { cache, path, nar }),
        2 => (cache.clone(), path.clone(), nar).prop_map(|(cache, path, nar)| Event::Sign { cache, path, nar }),
        2 => (cache.clone(), 0..4_u8).prop_map(|(cache, text)| Event::Document { cache, text }),
        3 => (cache, path).prop_map(|(cache, path)| Event::Remove { cache, path }),
        2 => Just(Event::Wait),
        1 => Just(Event::Collect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_rebuilt_index_is_the_index(events in prop::collection::vec(event(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for event in events {
                let name = |cache: u8| ["main", "other"][usize::from(cache)];
                match event {
                    Event::Create(cache) => world.create(name(cache)).await,
                    Event::Delete(cache) => world.delete(name(cache)).await,
                    Event::Public(cache) => world.make_public(name(cache)).await,
                    Event::Key(cache) => world.rotate_key(name(cache)).await,
                    Event::Push { cache, path, nar } => world.push(name(cache), path, nar).await,
                    Event::Sign { cache, path, nar } => world.sign(name(cache), path, nar).await,
                    Event::Document { cache, text } => world.document(name(cache), &format!("log {text}")).await,
                    Event::Remove { cache, path } => world.remove(name(cache), path).await,
                    Event::Wait => world.clock.advance(Duration::from_secs(1)),
                    Event::Collect => {
                        world.many_records(64).await;
                        world.clock.advance(Duration::from_secs(1));
                        assert!(world.collect(FaultPlan::none()).await);
                    }
                }
            }
            world.assert_rebuilt().await;
        });
    }
}
