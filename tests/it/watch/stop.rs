//! How a watcher ends.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use rustix::process::Signal;

use super::lab::{Lab, assert_pushed_once, next_second, said};

#[tokio::test]
async fn stop_returns_once_everything_is_sent() {
    let Some(lab) = Lab::new() else { return };
    let pid_file = lab.place("watch.pid");
    for by in [vec!["--pid-file", &pid_file], vec![], vec!["ci"]] {
        let watcher = lab.watch(&["--pid-file", &pid_file]);
        assert_eq!(fs::read_to_string(&pid_file).unwrap().trim(), watcher.pid().to_string());
        let built = lab.build(&format!("by-{}", by.len()), 20);
        let stopped = lab.client(&[&["watch-store", "stop"], &by[..]].concat());
        assert!(stopped.contains("nothing is left in the queue"), "{stopped}");
        lab.assert_cached(&built);
        let log = watcher.log();
        assert_pushed_once(&log, &built);
        assert!(log.contains("sent 20 paths"), "{log}");
        assert_eq!(watcher.end(), 0);
        assert!(!Path::new(&pid_file).exists());
        next_second();
    }
    for by in [vec!["--pid-file", &pid_file], vec![]] {
        let stopped = lab.client(&[&["watch-store", "stop"], &by[..]].concat());
        assert!(stopped.contains("no watcher") || stopped.contains("no such file"), "{stopped}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_in_time_stays_and_is_told() {
    let Some(mut lab) = Lab::new() else { return };
    let watcher = lab.watch(&["--drain-timeout", "1s"]);
    lab.server.kill9();
    let built = lab.build("late", 3);
    let stop = lab.client_command(&["watch-store", "stop"]).output().unwrap();
    assert_eq!(stop.status.code(), Some(3));
    assert!(said(&stop).contains("3 paths left in the queue: "), "{}", said(&stop));
    assert!(watcher.log().contains("3 paths left in the queue"));
    assert_eq!(watcher.end(), 3);
    lab.server.restart();
    let watcher = lab.watch(&[]);
    assert!(watcher.log().contains("3 paths to send from before"));
    watcher.signal(Signal::TERM);
    assert_eq!(watcher.end(), 0);
    assert_pushed_once(&lab.logs(), &built);
    lab.assert_cached(&built);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let Some(mut lab) = Lab::new() else { return };
    let watcher = lab.watch(&["--drain-timeout", "1h"]);
    lab.server.kill9();
    let built = lab.build("cut", 2);
    watcher.signal(Signal::TERM);
    watcher.until_says("2 paths cannot be sent now");
    watcher.signal(Signal::INT);
    assert_eq!(watcher.end(), 3);
    lab.server.restart();
    let watcher = lab.watch(&[]);
    watcher.until_sent(2);
    lab.assert_cached(&built);
}

#[tokio::test]
async fn it_ends_with_the_process_that_it_is_told_to_end_with() {
    let Some(lab) = Lab::new() else { return };
    let mut sleeping = Command::new("sleep").arg("1h").spawn().unwrap();
    let mut watcher = lab.watch(&["--exit-with-pid", &sleeping.id().to_string()]);
    let built = lab.build("with", 2);
    assert!(watcher.is_running());
    sleeping.kill().unwrap();
    sleeping.wait().unwrap();
    assert_eq!(watcher.end(), 0);
    lab.assert_cached(&built);
}

#[tokio::test]
async fn a_watcher_that_could_never_send_anything_does_not_begin() {
    let Some(lab) = Lab::new() else { return };
    let end = |more: &[&str], token: &str| {
        let output = lab.client_command(&["watch-store"]).args(more).env("ATTIC_TOKEN", token).output().unwrap();
        (output.status.code(), said(&output))
    };
    let token = lab.server.token(&["--sub", "x", "--pull", "ci", "--validity", "1h"]);
    let (code, text) = end(&["absent"], &lab.server.admin_token());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("absent on http"), "{text}");
    // One that may only pull learns it when the first path is refused, since the cache's configuration is open to it.
    let (code, text) = end(&["main", "--queue-dir", "q"], &token);
    assert!(code != Some(0), "{text}");
    let first = lab.watch(&[]);
    let (code, text) = end(&[], &lab.server.admin_token());
    assert_eq!(code, Some(1));
    assert!(text.contains(&format!("another watcher, process {}", first.pid())), "{text}");
}

#[tokio::test]
async fn a_nix_that_does_not_answer_keeps_nobody_from_stopping() {
    let Some(lab) = Lab::new() else { return };
    let watcher = lab.watch(&["--drain-timeout", "1s"]);
    let built = lab.build("unanswered", 1);
    let (nix, real) = (lab.place("bin/nix"), lab.place("bin/real-nix"));
    fs::rename(&nix, &real).unwrap();
    fs::write(&nix, "#!/bin/sh\nexec sleep 30\n").unwrap();
    fs::set_permissions(&nix, fs::Permissions::from_mode(0o755)).unwrap();
    watcher.signal(Signal::TERM);
    watcher.end();
    // What it could not ask about is found by the next one.
    fs::rename(&real, &nix).unwrap();
    let watcher = lab.watch(&[]);
    watcher.until_sent(1);
    lab.assert_cached(&built);
}
