//! `post-build-hook`, called by a real Nix.

use std::{fs, os::unix::fs::PermissionsExt};

use rustix::process::Signal;

use super::lab::{Lab, assert_pushed_once, said};

#[tokio::test]
async fn what_nix_tells_its_hook_is_sent_by_the_watcher_that_comes_later() {
    let Some(lab) = Lab::new() else { return };
    let (hook, queue) = (lab.place("hook"), lab.place("queue"));
    let script =
        format!("#!/bin/sh\nexec {} post-build-hook --queue-dir {queue}\n", env!("CARGO_BIN_EXE_client-under-test"));
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let words = lab.build_words("hooked", 3, &["--option", "post-build-hook", &hook]);
    let output = lab.command(&words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let built = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();

    let watcher = lab.watch(&["--queue-dir", &queue, "--since", "now"]);
    watcher.until_sent(3);
    // And by one that runs.
    let words = lab.build_words("hooked-again", 1, &["--option", "post-build-hook", &hook]);
    assert!(lab.command(&words[0]).args(&words[1..]).status().unwrap().success());
    watcher.until_sent(4);
    watcher.signal(Signal::TERM);
    assert_eq!(watcher.end(), 0);
    let log: String =
        lab.logs().lines().filter(|line| !line.contains("hooked-again")).map(|line| format!("{line}\n")).collect();
    assert_pushed_once(&log, &built);
    lab.assert_cached(&built);
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
    let bare =
        lab.command(env!("CARGO_BIN_EXE_client-under-test")).env_clear().arg("post-build-hook").output().unwrap();
    assert_eq!(bare.status.code(), Some(0), "{}", said(&bare));
    assert!(said(&bare).contains("warning: "), "{}", said(&bare));
}
