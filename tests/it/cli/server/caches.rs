//! `cache …` and tokens, in the database of this machine

use insta::assert_snapshot;

use crate::{cli::lab::Lab, harness::Server};

#[tokio::test]
async fn caches_are_made_listed_and_shown() {
    let lab = Lab::new();
    let made =
        lab.server(&["cache", "create", "ci", "--priority", "30", "--upstream-cache-key-name", "cache.nixos.org-1"]);
    let key = made.lines().find_map(|line| line.strip_prefix("> Public Key: ")).unwrap().to_owned();
    let lab = lab.knows(&key, "ci:KEY");
    assert_snapshot!(made.replace(&key, "ci:KEY"), @"
    exit 0
    > Public Key: ci:KEY
    Created the private cache ci.
    ");
    assert_snapshot!(lab.server(&["cache", "info", "ci"]), @"
    exit 0
    > Public Key: ci:KEY
    > Visibility: private
    > Store Directory: /nix/store
    > Priority: 30
    > Upstream Cache Keys: cache.nixos.org-1
    > Retention: as configured
    ");
    assert_snapshot!(lab.server(&["cache", "list"]), @"
    exit 0
    > ci	private	priority 30
    ");
    assert_snapshot!(lab.server(&["cache", "create", "ci"]), @"
    exit 1
    error: there is a cache ci already
    hint: `cache info ci` shows it
    ");
    assert_snapshot!(lab.server(&["cache", "info", "absent"]), @"
    exit 1
    error: there is no cache absent
    hint: `cache list` shows those that there are
    ");
    assert_snapshot!(lab.server(&["cache", "create", "nar"]), @r#"
    exit 2
    error: invalid value 'nar' for '<NAME>': the name "nar" is reserved

    For more information, try '--help'.
    "#);
}

/// What is made beside a running server is served by it.
#[tokio::test]
async fn a_running_server_has_a_cache_that_is_made_beside_it() {
    let server = Server::new();
    let made = server.command().args(["cache", "create", "beside", "--public"]).output().unwrap();
    let key = server.http().public_key("beside").await;
    assert_eq!(String::from_utf8(made.stdout).unwrap(), format!("Public Key: {key}\n"));
    let info = server.command().args(["cache", "info", "main"]).output().unwrap();
    let key = server.http().public_key("main").await;
    assert!(String::from_utf8(info.stdout).unwrap().starts_with(&format!("Public Key: {key}\n")));
}

#[test]
fn a_token_is_one_line() {
    let lab = Lab::new();
    for said in [
        lab.server(&["token", "make"]),
        lab.server(&["make-token", "--sub", "x", "--validity", "1d"]),
        lab.called("atticadm", &["make-token", "--sub", "x", "--validity", "3 months", "--pull", "*"]),
    ] {
        let token = said.strip_prefix("exit 0\n> ").unwrap().strip_suffix('\n').unwrap();
        assert_eq!((token.lines().count(), token.split('.').count()), (1, 3), "{said}");
    }
    assert_snapshot!(lab.called("atticadm", &["make-token", "--sub", "x"]), @"
    exit 2
    error: the following required arguments were not provided:
      --validity <DURATION>

    Usage: atticadm make-token --sub <SUB> --validity <DURATION>

    For more information, try '--help'.
    ");
}

#[test]
fn what_a_token_would_say_can_be_shown() {
    let lab = Lab::new();
    let options = ["token", "make", "--sub", "me", "--cache", "main", "--pull", "*", "--dump-claims"];
    let said = lab.server(&options);
    let shown: Vec<&str> = said
        .lines()
        .filter(|line| !["exp", "nbf", "iat", "jti"].iter().any(|key| line.contains(&format!("\"{key}\""))))
        .collect();
    assert_snapshot!(shown.join("\n"), @r#"
    exit 0
    > {
    >   "sub": "me",
    >   "https://jwt.attic.rs/v1": {
    >     "caches": {
    >       "main": {
    >         "r": 1,
    >         "w": 1
    >       },
    >       "*": {
    >         "r": 1
    >       }
    >     }
    >   }
    > }
    "#);
    assert!(!lab.path(".local").exists(), "nothing is made");
}
