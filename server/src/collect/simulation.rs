//! A world in small, by chance: pushes, reads, pins, collection and crashes at any step, held against a plain map.
//!
//! `FLYWHEEL_SEED` repeats a run, `SIMULATION_RUNS` says how many there are.

mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use world::World;

/// So many runs take some twenty seconds.
const RUNS: u64 = 48;
const STEPS: u32 = 40;

#[test]
fn what_is_wanted_stays_and_nothing_else_does() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("FLYWHEEL_SEED");
    if seed.is_some() {
        let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).try_init();
    }
    let runs = if seed.is_some() { 1 } else { number("SIMULATION_RUNS").unwrap_or(RUNS) };
    let first = seed.unwrap_or_else(rand::random);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let run = next.fetch_add(1, Ordering::SeqCst);
                    if run >= runs {
                        return;
                    }
                    one_run(first.wrapping_add(run));
                }
            });
        }
    });
}

fn one_run(seed: u64) {
    // Only shown if something goes wrong.
    let told = Told(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut world = World::new().await;
        for _ in 0..STEPS {
            step(&mut world, &mut chance).await;
            world.check().await;
        }
        world.end(chance.random_bool(0.5)).await;
    });
    std::mem::forget(told);
}

async fn step(world: &mut World, chance: &mut StdRng) {
    match chance.random_range(0..100) {
        0..30 => world.push(chance).await,
        30..42 => world.read(chance).await,
        42..50 => world.pin(chance).await,
        50..54 => world.unpin(chance).await,
        54..66 => world.wait(chance.random_range(1..400)),
        66..78 => world.collect().await,
        78..84 => world.push_while_collecting(chance).await,
        84..92 => world.crash_while_collecting(chance).await,
        92..96 => world.crash_while_pushing(chance).await,
        96..98 => world.delete_by_hand(chance).await,
        _ => world.delete_cache().await,
    }
}

/// Says which seed failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("the run of FLYWHEEL_SEED={} failed", self.0);
    }
}
