//! `watch-exec` around real builds.

use std::{collections::BTreeSet, fs};

use super::lab::{BY_EVENTS, Lab, assert_pushed_once, base_name, next_second, pushed};
use crate::harness::nix::clients;

const MANY: usize = 200;

#[tokio::test]
async fn every_path_of_a_build_is_sent_once() {
    for client in clients() {
        let lab = Lab::with(&client);
        let words = lab.build_words("many", MANY, &[]);
        let (built, log) = lab.watch_exec(&words, &[]);
        assert_eq!(built.status.code(), Some(0), "{log}");
        assert_eq!(built.paths.len(), MANY);
        assert_pushed_once(&only_ours(&log), &built.paths);
        assert_eq!(lab.count_cached().await, MANY);
        let sent = lab.metric("flywheel_pushed_nar_bytes_total").await;
        assert_eq!(sent, lab.metric("flywheel_nar_bytes").await, "no NAR was taken twice");
        assert!(sent > 0);
        lab.assert_cached(&built.paths);

        let (again, log) = lab.watch_exec(&words, &["--since", "1h"]);
        assert_eq!(again.paths, built.paths);
        assert_eq!(pushed(&only_ours(&log)), Vec::<String>::new());
        assert_eq!(lab.count_cached().await, MANY);
    }
}

/// Without what Nix says.
fn only_ours(log: &str) -> String {
    log.lines().filter(|line| line.starts_with("pushed ")).map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn a_failing_build_keeps_its_status_and_what_it_built() {
    let Some(lab) = Lab::new() else { return };
    let words = lab.build_words("some", 20, &["--arg", "fails", "7"]);
    let plain = lab.command(&words[0]).args(&words[1..]).status().unwrap();
    assert!(!plain.success());
    let words = lab.build_words("others", 20, &["--arg", "fails", "7"]);
    let (built, log) = lab.watch_exec(&words, &[]);
    assert_eq!(built.status.code(), plain.code());
    let sent: BTreeSet<String> = pushed(&only_ours(&log)).into_iter().collect();
    assert_eq!(sent.len(), 19, "{log}");
    let paths = sent.iter().map(|name| format!("{}/{name}", lab.store_dir())).collect();
    lab.assert_cached(&paths);
}

#[tokio::test]
async fn paths_are_sent_while_the_build_goes_on() {
    let Some(lab) = Lab::new() else { return };
    // The command ends once the cache has the path, which it never would if paths were sent at the end only.
    let words = lab.build_words("soon", 1, &[]);
    let script = format!(
        "path=$({}); hash=$(basename $path | cut -c-32); until curl -sf $ATTIC_SERVER/ci/$hash.narinfo >/dev/null; do sleep 0.1; done; echo $path",
        words.join(" ")
    );
    let (built, log) = lab.watch_exec(&["sh".into(), "-c".into(), script], &BY_EVENTS);
    assert_eq!(built.paths.len(), 1);
    assert!(log.contains("to ci, 1 of them incrementally"), "{log}");
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_fails_no_build() {
    let Some(mut lab) = Lab::new() else { return };
    let (unknown, log) = lab.watch_exec(&lab.build_words("a", 2, &[]), &["no-such-cache"]);
    assert_eq!((unknown.paths.len(), unknown.status.code()), (2, Some(0)), "{log}");
    assert!(log.contains("2 paths left in the queue"), "{log}");
    next_second();
    let (refused, log) = lab.watch_exec(&["false".into()], &["not/a/cache"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(log.contains("warning: nothing will be sent"), "{log}");

    lab.server.kill9();
    let (away, log) = lab.watch_exec(&lab.build_words("b", 2, &[]), &["--drain-timeout", "500ms"]);
    assert_eq!((away.paths.len(), away.status.code()), (2, Some(0)), "{log}");
    assert!(log.contains("2 paths left in the queue"), "{log}");
    lab.server.restart();
    // The next build takes along what the last one could not send.
    let (back, log) = lab.watch_exec(&lab.build_words("c", 1, &[]), &[]);
    let all: BTreeSet<String> = away.paths.union(&back.paths).cloned().collect();
    assert_pushed_once(&only_ours(&log), &all);
    lab.assert_cached(&all);
}

#[test]
fn commands_that_cannot_be_run_and_signals_are_told_as_shells_do() {
    let Some(lab) = Lab::new() else { return };
    let code = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        lab.watch_exec(&words, &[]).0.status.code()
    };
    assert_eq!(code(&["no-such-command"]), Some(127));
    assert_eq!(code(&["/etc/passwd"]), Some(126));
    assert_eq!(code(&["sh", "-c", "exit 42"]), Some(42));
    assert_eq!(code(&["sh", "-c", "kill -9 $$"]), Some(137));
    assert_eq!(code(&["sh", "-c", "test -d $FLYWHEEL_QUEUE_DIR"]), Some(0));
}

#[test]
fn json_is_an_object_a_line() {
    let Some(lab) = Lab::new() else { return };
    let (built, log) = lab.watch_exec(&lab.build_words("json", 3, &["--quiet"]), &["--json"]);
    let objects = log.lines().filter(|line| line.starts_with('{'));
    let objects: Vec<serde_json::Value> = objects.map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = objects.iter().map(|object| object["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], events[events.len() - 1]), ("watching", "summary"), "{log}");
    let sent: BTreeSet<String> = objects
        .iter()
        .filter(|object| object["event"] == "pushed")
        .map(|object| object["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(sent, built.paths);
    let summary = &objects[objects.len() - 1];
    assert_eq!((&summary["sent"], &summary["left"]), (&3.into(), &serde_json::json!([])));
    assert_eq!(log.lines().filter(|line| line.contains("pushed")).count(), 3);
}

#[test]
fn derivations_and_sources_come_along_only_when_asked_for() {
    let Some(lab) = Lab::new() else { return };
    fs::create_dir(lab.place("tree-source")).unwrap();
    let add = |name: &str| {
        fs::write(lab.place("tree-source/file"), name).unwrap();
        vec!["nix-store".to_owned(), "--add".to_owned(), lab.place("tree-source")]
    };
    let (_, log) = lab.watch_exec(&add("one"), &[]);
    assert_eq!(pushed(&only_ours(&log)), Vec::<String>::new());
    next_second();
    let (added, log) = lab.watch_exec(&add("two"), &["--include-sources"]);
    let added = added.paths.first().unwrap();
    assert_eq!(pushed(&only_ours(&log)), [base_name(added)]);
    next_second();
    let (_, log) = lab.watch_exec(&lab.build_words("drv", 1, &[]), &["--include-derivations"]);
    assert_eq!(pushed(&only_ours(&log)).iter().filter(|name| name.ends_with(".drv")).count(), 1, "{log}");
}
