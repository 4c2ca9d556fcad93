//! kill -9 of watchers and of the server at random moments, while Nix builds.

use std::{
    collections::BTreeSet,
    sync::{Mutex, mpsc},
    thread::{self, sleep},
    time::Duration,
};

use super::lab::{Lab, pushed, until};
use crate::harness::Seed;

const ROUNDS: usize = 12;
const ACTS: usize = 24;

#[tokio::test]
async fn nothing_that_was_built_is_lost_or_sent_twice() {
    let Some(mut lab) = Lab::new() else { return };
    let (_, mut seed) = Seed::from_environment("watch-store under fire");
    // The builds go on in a thread of their own, in a random rhythm.
    let rounds: Vec<(usize, u64)> = (0..ROUNDS).map(|_| (seed.in_range(1..9), seed.in_range(0..400) as u64)).collect();
    let builder = lab.builder();
    let all = Mutex::new(BTreeSet::new());
    let (finished, is_finished) = mpsc::channel();
    let mut watcher = Some(lab.watch(&[]));
    thread::scope(|scope| {
        let all = &all;
        scope.spawn(move || {
            for (round, (count, pause)) in rounds.into_iter().enumerate() {
                let built = builder.build(&format!("round-{round}"), count, "0.1");
                all.lock().unwrap().extend(built);
                sleep(Duration::from_millis(pause));
            }
            finished.send(()).unwrap();
        });
        for act in 0.. {
            if act >= ACTS && is_finished.try_recv().is_ok() {
                break;
            }
            sleep(Duration::from_millis(seed.in_range(0..500) as u64));
            match seed.in_range(0..4) {
                0 | 1 => match watcher.take() {
                    Some(watcher) => watcher.kill9(),
                    // It may be killed again before it has begun.
                    None => watcher = Some(lab.watch_at_once(&[])),
                },
                2 => lab.server.kill9(),
                _ => lab.server.restart(),
            }
        }
    });
    lab.server.restart();
    drop(watcher.take());
    let watcher = lab.watch(&[]);
    lab.client(&["watch-store", "stop"]);
    assert_eq!(watcher.end(), 0);
    let all = all.into_inner().unwrap();
    until("the log", || lab.logs().contains("sent "));
    lab.assert_cached(&all);
    assert_eq!(lab.count_cached().await, all.len());
    let mut told = pushed(&lab.logs());
    let count = told.len();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), count, "a path was sent twice");
}
