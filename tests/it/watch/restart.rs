//! Whatever is interrupted, nothing is lost.

use std::{collections::BTreeSet, fs};

use rustix::process::Signal;

use super::lab::{BY_LOOKING, Lab, assert_pushed_once, next_second, until};

#[tokio::test]
async fn a_killed_watcher_takes_up_where_it_was() {
    let Some(lab) = Lab::new() else { return };
    let watcher = lab.watch(&[]);
    let before = lab.build("before", 5);
    watcher.until_sent(5);
    watcher.kill9();
    let between = lab.build("between", 5);
    // So that they are not new for the mere reason that they are.
    next_second();
    let watcher = lab.watch(&[]);
    let after = lab.build("after", 5);
    watcher.until_sent(10);
    watcher.signal(Signal::TERM);
    assert_eq!(watcher.end(), 0);
    let all: BTreeSet<String> = [before, between, after].into_iter().flatten().collect();
    assert_pushed_once(&lab.logs(), &all);
    assert_eq!(lab.count_cached().await, 15);
    lab.assert_cached(&all);

    // One that ended as it was told takes up nothing.
    lab.build("nobody", 1);
    next_second();
    let watcher = lab.watch(&[]);
    lab.client(&["watch-store", "stop"]);
    assert_eq!(watcher.end(), 0);
    assert_eq!(lab.count_cached().await, 15);
}

#[tokio::test]
async fn a_server_that_is_away_gets_everything_when_it_is_back() {
    let Some(mut lab) = Lab::new() else { return };
    let watcher = lab.watch(&[]);
    let mut all = lab.build("before", 3);
    watcher.until_sent(3);
    lab.server.kill9();
    all.extend(lab.build("away", 3));
    watcher.until_says("cannot be sent now");
    // The queue outlives the watcher too.
    watcher.kill9();
    all.extend(lab.build("both", 3));
    next_second();
    let watcher = lab.watch(&[]);
    watcher.until_says("cannot be sent now");
    lab.server.restart();
    watcher.until_sent(6);
    lab.client(&["watch-store", "stop"]);
    assert_eq!(watcher.end(), 0);
    assert_pushed_once(&lab.logs(), &all);
    lab.assert_cached(&all);
}

#[tokio::test]
async fn a_path_that_was_deleted_before_it_was_sent_is_dropped() {
    let Some(mut lab) = Lab::new() else { return };
    lab.server.kill9();
    let watcher = lab.watch(&[]);
    let all = lab.build("some", 4);
    watcher.until_says("4 paths cannot be sent now");
    let (gone, kept) = all.into_iter().partition::<BTreeSet<String>, _>(|path| path.contains("some-2"));
    assert_eq!((gone.len(), kept.len()), (1, 3));
    let delete = lab.command("nix-store").arg("--delete").args(&gone).output().unwrap();
    assert!(delete.status.success(), "{delete:?}");
    lab.server.restart();
    watcher.until_sent(3);
    watcher.until_says("is not valid any more");
    watcher.signal(Signal::INT);
    assert_eq!(watcher.end(), 0);
    assert_pushed_once(&lab.logs(), &kept);
    lab.assert_cached(&kept);
}

#[tokio::test]
async fn a_path_that_cannot_be_sent_holds_up_no_other() {
    let Some(lab) = Lab::new() else { return };
    let damaged = lab.build("damaged", 1).into_iter().next().unwrap();
    let text = format!("{damaged}/text");
    // Files of the store are read-only, which does not stop root.
    fs::remove_file(&text).unwrap();
    fs::write(&text, "not what was built\n").unwrap();
    let watcher = lab.watch(&["--since", "@0"]);
    let good = lab.build("good", 5);
    watcher.until_says("cannot be sent, next attempt in");
    until("the others", || lab.logs().matches("pushed").count() == 5);
    watcher.signal(Signal::TERM);
    assert_eq!(watcher.end(), 3);
    let log = lab.logs();
    assert!(log.contains("the store path is damaged") && log.contains("1 path left in the queue"), "{log}");
    lab.assert_cached(&good);
}

#[tokio::test]
async fn a_start_after_the_build_began_misses_nothing() {
    let Some(lab) = Lab::new() else { return };
    let too_early = lab.build("too-early", 1);
    // Nor is the time of a start.
    next_second();
    next_second();
    next_second();
    let mut job = std::process::Command::new("sleep").arg("1h").spawn().unwrap();
    next_second();
    let built = lab.build("by-the-job", 2);
    next_second();
    let watcher = lab.watch(&["--since-start-of", &job.id().to_string()]);
    job.kill().unwrap();
    job.wait().unwrap();
    watcher.until_sent(2);
    lab.client(&["watch-store", "stop"]);
    assert_eq!(watcher.end(), 0);
    assert_pushed_once(&lab.logs(), &built);

    let watcher = lab.watch(&["--since", "1h", "--queue-dir", &lab.place("another-queue")]);
    watcher.until_sent(1);
    watcher.signal(Signal::TERM);
    assert_eq!(watcher.end(), 0);
    assert_pushed_once(&lab.logs(), &built.union(&too_early).cloned().collect());
    lab.assert_cached(&built);
}

#[tokio::test]
async fn what_the_kernel_does_not_tell_is_found_by_looking() {
    let Some(lab) = Lab::new() else { return };
    let watcher = lab.watch(&BY_LOOKING);
    // The kernel goes on telling of the folder that was there when it was asked.
    let (store, away) = (lab.store_dir(), lab.place("nix/away"));
    fs::rename(&store, &away).unwrap();
    fs::create_dir(&store).unwrap();
    let built = lab.build("untold", 3);
    watcher.until_sent(3);
    watcher.signal(Signal::TERM);
    assert_eq!(watcher.end(), 0);
    lab.assert_cached(&built);
}
