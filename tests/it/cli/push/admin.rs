//! `token`, `audit`, `cache limits` and `warm`

use std::{fs, os::unix::fs::PermissionsExt};

use insta::assert_snapshot;

use crate::{
    cli::lab::Lab,
    harness::{Server, TestPath},
};

/// A home from which the server is reached as somebody who may do everything.
async fn lab(server: &Server) -> Lab {
    let all = server.token(&[
        "--sub",
        "admin",
        "--pull",
        "*",
        "--push",
        "*",
        "--delete",
        "*",
        "--create-cache",
        "*",
        "--configure-cache",
        "*",
        "--manage-tokens",
        "*",
        "--read-audit",
        "*",
    ]);
    Lab::at(server).await.env("ATTIC_SERVER", &server.url()).env("ATTIC_TOKEN", &all)
}

#[tokio::test]
async fn a_token_is_made_listed_and_revoked() {
    let server = Server::new();
    let lab = lab(&server).await;
    let made = lab.client(&["token", "make", "--sub", "ci", "--validity", "1h", "--grant", "main=pull,push"]);
    let token = made.lines().find_map(|line| line.strip_prefix("> ")).unwrap();
    let id = made.lines().find_map(|line| line.strip_prefix("made ")?.split(',').next()).unwrap();
    let path = TestPath::small("x");
    server.http().with_token(token).upload("main", &path).await.expect(200);

    let listed = lab.client(&["token", "list", "--subject", "ci", "--expiring", "2h"]);
    assert!(listed.starts_with(&format!("exit 0\n> {id}\tci\tends ")), "{listed}");
    assert!(listed.ends_with("\tmain=pull,push\n"), "{listed}");
    assert_eq!(lab.client(&["token", "list", "--subject", "ci", "--expiring", "1m"]), "exit 0\n");
    let shown = lab.client(&["token", "show", id]);
    assert!(shown.contains(r#""minted-by":"admin""#), "{shown}");

    assert_eq!(lab.client(&["token", "revoke", id]), format!("exit 0\nrevoked {id}\n"));
    server.http().with_token(token).upload("main", &path).await.expect(401);
    assert_eq!(lab.client(&["token", "list", "--subject", "ci"]), "exit 0\n");
    assert!(lab.client(&["token", "list", "--subject", "ci", "--all"]).contains("\trevoked "));
    assert_eq!(lab.client(&["token", "revoke", id]), format!("exit 0\nwas revoked before: {id}\n"));
    assert_snapshot!(lab.client(&["token", "revoke", "4711"]), @"
    exit 1
    error: There is no such token, or none that you may manage. (NoSuchToken, status 404)
    ");
    assert_snapshot!(lab.client(&["token", "make", "--sub", "x", "--validity", "1h", "--grant", "main=destroy-cache"]), @"
    exit 4
    error: A token makes no token that may do more than itself, or anything where it may not manage tokens. (AccessError, status 403)
    hint: log in with a token that allows this, or set ATTIC_TOKEN; tokens expire
    ");
    let acts = lab.client(&["audit", "--limit", "2"]);
    let kinds: Vec<&str> = acts.lines().skip(1).map(|line| line.split('\t').nth(2).unwrap()).collect();
    assert_eq!(kinds, ["token.mint", "token.revoke"], "{acts}");
    assert_eq!(acts.lines().nth(1).unwrap().split('\t').nth(1), Some("refused"));
}

#[tokio::test]
async fn limits_are_shown_and_changed() {
    let server = Server::new();
    let lab = lab(&server).await;
    server.admin().upload("main", &TestPath::small("x")).await.expect(200);
    let changed = lab.client(&["cache", "limits", "main", "--quota", "10GiB", "--max-size", "5MiB", "--read-only"]);
    let used = changed.lines().find_map(|line| line.strip_prefix("> Used: ")).unwrap().to_owned();
    assert!(used.ends_with(" B") && used != "0 B", "{used}");
    let lab = lab.knows(&used, "SOME");
    assert_snapshot!(lab.client(&["cache", "limits", "main"]), @"
    exit 0
    > Used: SOME
    > Max Size: 5242880 B
    > Quota: 10737418240 B
    > Read Only: true
    ");
    assert_snapshot!(lab.client(&["cache", "limits", "main", "--quota", "0"]), @"
    exit 4
    error: main on http://SERVER/: The cache main is read-only. (ReadOnly, status 403)
    hint: an admin of the cache turns that with `cache limits`
    ");
    assert_snapshot!(lab.client(&["cache", "limits", "main", "--quota", "0", "--writable"]), @"
    exit 0
    > Used: SOME
    > Max Size: 5242880 B
    > Quota: none
    > Read Only: false
    ");
    let server_side = server.command().args(["cache", "limits", "main", "--max-size", "0", "--json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&server_side.stdout).unwrap();
    assert_eq!((&told["max_size"], &told["read_only"]), (&serde_json::Value::Null, &false.into()));
    let acts = lab.client(&["audit", "--cache", "main"]);
    assert_eq!(acts.matches("\tdone\tcache.limits\tmain").count(), 3, "{acts}");
}

/// `nix` is ours here: what matters is what becomes of what it says.
#[tokio::test]
async fn what_could_be_built_is_pushed() {
    let server = Server::new();
    let lab = lab(&server).await;
    let nix = lab.file("bin/nix", "#!/bin/sh\nexit 7\n");
    fs::set_permissions(nix, fs::Permissions::from_mode(0o755)).unwrap();
    assert_snapshot!(lab.client(&["warm", "main", "nixpkgs#a", "nixpkgs#b"]), @"
    exit 1
    building nixpkgs#a
    warning: nixpkgs#a: it could not be built
    building nixpkgs#b
    warning: nixpkgs#b: it could not be built
    error: 2 of 2 failed: nixpkgs#a, nixpkgs#b
    ");
}
