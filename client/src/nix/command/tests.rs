use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;

fn path(n: usize, name: &str) -> StorePath {
    format!("{n:032}-{name}").parse().unwrap()
}

/// A `nix` that notes how it was called and answers as `script` says.
fn fake(folder: &Path, script: &str) -> CommandStore {
    let program = folder.join("nix");
    fs::write(
        &program,
        format!("#!/bin/sh\nlog='{}'\necho \"$@\" >>\"$log\"\n{script}\n", folder.join("log").display()),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    CommandStore::new(program, StorePlace::new(None, None).unwrap())
}

fn calls(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("log")).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn arguments_are_cut_into_batches() {
    let paths: Vec<StorePath> = (0..5).map(|n| path(n, "x")).collect();
    let paths: Vec<&StorePath> = paths.iter().collect();
    let one = "/nix/store/".len() + 34 + 1;
    let sizes = |limit| batches(&paths, limit, &StoreDir::default()).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(one * 2), [2, 2, 1]);
    assert_eq!(sizes(one * 3 - 1), [2, 2, 1]);
    assert_eq!(sizes(1), [1, 1, 1, 1, 1]);
    assert_eq!(sizes(usize::MAX), [5]);
    assert!(batches(&[], 10, &StoreDir::default()).is_empty());
}

#[test]
fn thousands_of_paths_take_several_commands_and_each_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    // Answers for each argument that is a store path, and for one reference that all share.
    let store = fake(
        folder.path(),
        r#"printf '['; sep=
        for p in /nix/store/zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz-shared "$@"; do case $p in /*)
          printf '%s{"path":"%s","narHash":"sha256-EFUdrtf6Rn0LWIJufrmg8q99aT3jGfLvd1//zaJEufY=","narSize":120,"references":[]}' "$sep" "$p"; sep=,
        esac; done; printf ']'"#,
    );
    let paths: BTreeSet<StorePath> = (0..5000).map(|n| path(n, "x")).collect();
    let infos = store.closure(&paths).unwrap();
    assert_eq!(infos.len(), 5001);
    let calls = calls(folder.path());
    assert_eq!(calls.len(), 3, "5,000 paths of 46 bytes");
    assert!(calls.iter().all(|call| call.contains("--recursive") && call.len() < 110 << 10));
}

#[test]
fn derivations_are_asked_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = fake(folder.path(), "echo '[]'");
    store.path_infos(&BTreeSet::from([path(1, "a.drv"), path(2, "a")])).unwrap();
    let calls = calls(folder.path());
    assert!(calls[0].ends_with(&format!("--derivation /nix/store/{}", path(1, "a.drv"))), "{calls:?}");
    assert!(calls[1].ends_with(&format!("--json /nix/store/{}", path(2, "a"))), "{calls:?}");
}

#[test]
fn a_nix_that_wants_a_format_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = fake(
        folder.path(),
        r#"case "$*" in *"--json-format 1"*) echo '{}';; *) echo "error: '--json' needs '--json-format'" >&2; exit 1;; esac"#,
    );
    assert!(store.path_infos(&BTreeSet::from([path(1, "a")])).unwrap().is_empty());
}

#[test]
fn failures_say_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let roots = BTreeSet::from([path(1, "a")]);
    let store =
        fake(folder.path(), "echo 'warning: x' >&2; echo \"error: path '/nix/store/a' is not valid\" >&2; exit 1");
    assert!(matches!(store.closure(&roots), Err(StoreError::NotValid(p)) if p == "/nix/store/a"));
    let store = fake(folder.path(), "echo 'error: cannot connect' >&2; exit 1");
    assert!(
        matches!(store.closure(&roots), Err(StoreError::Failed { stderr, .. }) if stderr == "error: cannot connect")
    );
    let store = fake(folder.path(), "echo '{'");
    assert!(matches!(store.closure(&roots), Err(StoreError::Answer { .. })));
    let store = CommandStore::new(folder.path().join("absent"), StorePlace::new(None, None).unwrap());
    assert!(matches!(store.closure(&roots), Err(StoreError::Start { .. })));
}
