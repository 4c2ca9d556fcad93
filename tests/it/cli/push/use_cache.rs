//! `use`: nix.conf and netrc

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::{cli::lab::Lab, harness::Server, routes::create_cache};

const NIX_CONF: &str = ".config/nix/nix.conf";
const NETRC: &str = ".config/nix/netrc";

#[tokio::test]
async fn nix_substitutes_from_the_cache() {
    let server = Server::new();
    let lab = Lab::at(&server).await.env("ATTIC_SERVER", &server.url());
    assert_snapshot!(lab.client(&["use", "main"]), @"
    exit 0
    HOME/.config/nix/nix.conf makes Nix substitute from http://SERVER/main
    ");
    assert_snapshot!(lab.read(NIX_CONF), @"
    extra-substituters = http://SERVER/main
    extra-trusted-public-keys = main:KEY
    ");
    assert!(!lab.path(NETRC).exists(), "a public cache needs no token");
}

#[tokio::test]
async fn what_else_is_there_stays_and_nothing_is_said_twice() {
    let server = Server::new();
    let lab = Lab::at(&server).await.env("ATTIC_SERVER", &server.url());
    let before = "# mine\nexperimental-features = nix-command\nextra-substituters = https://other.example.org # why\n";
    lab.file(NIX_CONF, before);
    lab.client(&["use", "main"]);
    let once = lab.read(NIX_CONF);
    assert_snapshot!(once, @"
    # mine
    experimental-features = nix-command
    extra-substituters = https://other.example.org http://SERVER/main # why
    extra-trusted-public-keys = main:KEY
    ");
    assert_snapshot!(lab.client(&["use", "main"]), @"
    exit 0
    HOME/.config/nix/nix.conf says so already
    ");
    assert_eq!(lab.read(NIX_CONF), once);
}

#[tokio::test]
async fn a_private_cache_needs_its_token_in_the_netrc() {
    let server = Server::new();
    create_cache(&server.admin(), "private", false).await;
    let token = server.token(&["--pull", "private"]);
    let key = server.admin().public_key("private").await.to_string();
    let lab = Lab::at(&server).await.knows(&token, "TOKEN").knows(&key, "private:KEY");
    let lab = lab.env("ATTIC_SERVER", &server.url()).env("ATTIC_TOKEN", &token);
    lab.file(NETRC, "machine other.example.org password p\n");
    assert_snapshot!(lab.client(&["use", "private"]), @"
    exit 0
    HOME/.config/nix/netrc has the token for 127.0.0.1
    HOME/.config/nix/nix.conf makes Nix substitute from http://SERVER/private
    ");
    assert_snapshot!(lab.read(NIX_CONF), @"
    extra-substituters = http://SERVER/private
    extra-trusted-public-keys = private:KEY
    netrc-file = HOME/.config/nix/netrc
    ");
    assert_snapshot!(lab.read(NETRC), @"
    machine other.example.org password p
    machine 127.0.0.1
    login token
    password TOKEN
    ");
    assert_eq!(lab.path(NETRC).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let (conf, netrc) = (lab.read(NIX_CONF), lab.read(NETRC));
    assert!(lab.client(&["use", "private"]).starts_with("exit 0\n"));
    assert_eq!((lab.read(NIX_CONF), lab.read(NETRC)), (conf, netrc));
}

/// Nix heeds one key of a name: the old one of the same name would hide the new one.
#[tokio::test]
async fn an_older_key_of_the_same_name_gives_way() {
    let server = Server::new();
    let lab = Lab::at(&server).await.env("ATTIC_SERVER", &server.url());
    let old = "main:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    lab.file(NIX_CONF, &format!("extra-trusted-public-keys = {old} other:BBBB\n"));
    assert_snapshot!(lab.client(&["use", "main"]), @"
    exit 0
    warning: no longer trusted, since Nix heeds one key of a name only: main:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
    HOME/.config/nix/nix.conf makes Nix substitute from http://SERVER/main
    ");
    assert_snapshot!(lab.read(NIX_CONF), @"
    extra-trusted-public-keys = other:BBBB main:KEY
    extra-substituters = http://SERVER/main
    ");
}

#[tokio::test]
async fn a_cache_that_is_not_there_changes_nothing() {
    let server = Server::new();
    let lab = Lab::at(&server).await.env("ATTIC_SERVER", &server.url()).env("ATTIC_TOKEN", &server.admin_token());
    assert!(lab.client(&["use", "absent"]).starts_with("exit 1\n"));
    assert!(!lab.path(NIX_CONF).exists());
}
