//! `post-build-hook`, called by a real Nix.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use rustix::process::Signal;

use super::lab::{BY_EVENTS, Lab, assert_pushed_once, next_second, said};
use crate::harness::nix::clients;

const CLIENT: &str = env!("CARGO_BIN_EXE_client-under-test");

#[tokio::test]
async fn what_nix_tells_its_hook_is_sent_by_the_watcher_that_comes_later() {
    for client in clients() {
        let lab = Lab::with(&client);
        let (hook, queue) = (lab.place("hook"), lab.place("queue"));
        // Where every Nix sees it, also one that lives in another root.
        let program = lab.place("flywheel-push");
        fs::copy(CLIENT, &program).unwrap();
        let script = format!("#!/bin/sh\nexec {program} post-build-hook --queue-dir {queue}\n");
        fs::write(&hook, script).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let build = |tag: &str, count| {
            let words = lab.build_words(tag, count, &["--option", "post-build-hook", &hook]);
            let output = lab.command(&words[0]).args(&words[1..]).output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
            let built: BTreeSet<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
            (built, said(&output))
        };
        let (mut built, log) = build("before", 3);
        assert_eq!(fs::read_dir(format!("{queue}/inbox")).map_or(0, Iterator::count), 3, "{log}");
        // Nothing but the hook could tell this watcher.
        next_second();
        let more = [&["--queue-dir", &queue, "--since", "now"], &BY_EVENTS[..]].concat();
        let watcher = lab.watch(&more);
        watcher.until_sent(3);
        built.extend(build("meanwhile", 1).0);
        watcher.until_sent(4);
        watcher.signal(Signal::TERM);
        assert_eq!(watcher.end(), 0);
        assert_pushed_once(&lab.logs(), &built);
        lab.assert_cached(&built);
    }
}

#[test]
fn it_never_fails() {
    let Some(lab) = Lab::new() else { return };
    let path = format!("{}/{}-x", lab.store_dir(), "a".repeat(32));
    let cases: [(&[&str], &str); 5] = [
        (&[], &path),
        (&["--queue-dir", "/proc/no/such/folder"], &path),
        (&["--no-such-option"], &path),
        (&["not/a/cache"], &path),
        (&["--queue-dir", "queue"], "rubbish\n/etc/passwd"),
    ];
    for (arguments, paths) in cases {
        let mut command = lab.client_command(&["post-build-hook"]);
        let output = command.args(arguments).env("OUT_PATHS", paths).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    }
    let bare = lab.command(CLIENT).env_clear().arg("post-build-hook").output().unwrap();
    assert_eq!(bare.status.code(), Some(0), "{}", said(&bare));
    assert!(said(&bare).contains("warning: "), "{}", said(&bare));
}
