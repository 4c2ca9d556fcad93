//! `login`, and where the server and its token come from.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::{cli::lab::Lab, harness::Server};

const CONFIG: &str = ".config/attic/config.toml";

#[test]
fn a_login_is_remembered_as_attic_remembers_it() {
    let lab = Lab::new();
    assert_snapshot!(lab.client(&["login", "ci", "http://cache.example.org:8080", "secret"]), @"
    exit 0
    ci is http://cache.example.org:8080/, says HOME/.config/attic/config.toml
    ci is the server when none is named
    ");
    assert_snapshot!(lab.read(CONFIG), @r#"
    default-server = "ci"

    [servers.ci]
    endpoint = "http://cache.example.org:8080/"
    token = "secret"
    "#);
    assert_eq!(lab.path(CONFIG).metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // A second server is not the default unless it is said; what stood there stays.
    lab.client(&["login", "other", "https://other.example.org/under"]);
    lab.client(&["login", "--set-default", "third", "https://third.example.org", "t"]);
    assert_snapshot!(lab.read(CONFIG), @r#"
    default-server = "third"

    [servers.ci]
    endpoint = "http://cache.example.org:8080/"
    token = "secret"

    [servers.other]
    endpoint = "https://other.example.org/under"

    [servers.third]
    endpoint = "https://third.example.org/"
    token = "t"
    "#);
    assert_eq!(lab.path(CONFIG).metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

/// CI passes a variable that is not set.
#[test]
fn an_empty_token_is_none() {
    let lab = Lab::new();
    assert!(
        lab.called("attic", &["login", "--set-default", "ci", "http://cache.example.org", ""]).starts_with("exit 0\n")
    );
    assert_snapshot!(lab.read(CONFIG), @r#"
    default-server = "ci"

    [servers.ci]
    endpoint = "http://cache.example.org/"
    "#);
}

#[test]
fn a_file_that_others_could_read_is_closed() {
    let lab = Lab::new();
    lab.file(CONFIG, "[servers.a]\nendpoint = \"http://a\"\n");
    std::fs::set_permissions(lab.path(CONFIG), PermissionsExt::from_mode(0o644)).unwrap();
    lab.client(&["login", "a", "http://a", "secret"]);
    assert_eq!(lab.path(CONFIG).metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_login_that_makes_no_sense_is_a_usage_error() {
    let lab = Lab::new();
    assert_snapshot!(lab.client(&["login", "ci", "cache.example.org"]), @r#"
    exit 2
    error: "cache.example.org" is no server address: relative URL without a base
    hint: such as https://cache.example.org
    "#);
    assert_snapshot!(lab.client(&["login", "a:b", "http://cache.example.org"]), @r#"
    exit 2
    error: a server cannot be called "a:b"
    hint: choose a name without ':'
    "#);
    assert!(!lab.path(CONFIG).exists());
}

#[tokio::test]
async fn a_server_is_found_by_name_by_default_and_in_the_environment() {
    let server = Server::new();
    let token = server.token(&["--pull", "*"]);
    let lab = Lab::at(&server).await;
    lab.client(&["login", "here", &server.url(), &token]);
    lab.client(&["login", "elsewhere", "http://127.0.0.1:1", &token]);
    assert!(lab.client(&["cache", "info", "here:main"]).starts_with("exit 0\n"));
    assert!(lab.client(&["cache", "info", "main"]).starts_with("exit 0\n"), "the first is the default");
    let lab = lab.env("ATTIC_SERVER", &server.url()).env("ATTIC_TOKEN", &token).env("ATTIC_CACHE", "main");
    assert!(lab.client(&["cache", "info"]).starts_with("exit 0\n"), "the environment needs no login");
    assert!(lab.client(&["cache", "info", "elsewhere:main"]).starts_with("exit 5\n"), "who names a server means it");
}

#[tokio::test]
async fn a_token_may_stand_in_a_file() {
    let server = Server::new();
    let lab = Lab::at(&server).await;
    let file = lab.file("token", &format!("{}\n", server.token(&["--admin"])));
    let lab = lab.env("ATTIC_SERVER", &server.url()).env("ATTIC_TOKEN_FILE", &file);
    assert!(lab.client(&["cache", "create", "new"]).starts_with("exit 0\n"));

    let other = Lab::at(&server).await;
    let config =
        format!("default-server = \"s\"\n[servers.s]\nendpoint = \"{}\"\ntoken-file = \"{file}\"\n", server.url());
    other.file(CONFIG, &config);
    assert!(other.client(&["cache", "info", "new"]).starts_with("exit 0\n"));
}
