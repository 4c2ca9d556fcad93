//! Tokens that `token make` and `make-token` make.

use super::{World, create_cache, may, said};
use crate::harness::{Http, Server, TestPath};

async fn private(caches: &[&str]) -> Server {
    let server = Server::new();
    for cache in caches {
        create_cache(&server.admin(), cache, false).await;
    }
    server
}

/// What `atticadm make-token` prints.
fn atticadm(server: &Server, options: &[&str]) -> Http {
    let output = server.command().arg("make-token").args(options).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.http().with_token(String::from_utf8(output.stdout).unwrap().trim_end())
}

#[tokio::test]
async fn the_deployments_options_make_the_deployments_tokens() {
    let server = private(&["c", "team-a"]).await;
    let with = |options: &[&str]| server.http().with_token(&server.token(options));
    let hour = with(&["--sub", "init-cache", "--days", "0.04", "--cache", "c"]);
    assert_eq!((may(&hour, "c").await, may(&hour, "team-a").await), ("r w".to_owned(), String::new()));
    let admin = with(&["--sub", "root", "--days", "0.04", "--admin"]);
    assert_eq!((may(&admin, "c").await, may(&admin, "team-a").await), ("r w cc".to_owned(), "r w cc".to_owned()));
    let teams = with(&["--cache", "team-*"]);
    assert_eq!((may(&teams, "c").await, may(&teams, "team-a").await), (String::new(), "r w".to_owned()));
    let default = with(&[]);
    assert_eq!((may(&default, "main").await, may(&default, "c").await), ("r w".to_owned(), String::new()));
}

#[tokio::test]
async fn atticadms_options_make_atticadms_tokens() {
    let server = private(&["c"]).await;
    for (option, expected) in [
        ("--pull", "r"),
        ("--push", "w"),
        ("--create-cache", "cc"),
        ("--configure-cache", "cr"),
        ("--configure-cache-retention", "cq"),
        ("--delete", ""),
        ("--destroy-cache", ""),
    ] {
        let http = atticadm(&server, &["--sub", "alice", "--validity", "2 days", option, "c"]);
        assert_eq!(may(&http, "c").await, expected, "{option}");
    }
    let several = ["--sub", "alice", "--validity", "1y", "--pull", "*", "--push", "c", "--configure-cache", "c*"];
    let http = atticadm(&server, &several);
    assert_eq!((may(&http, "c").await, may(&http, "main").await), ("r w cr".to_owned(), "r".to_owned()));
    let nothing = atticadm(&server, &["--sub", "alice", "--validity", "1d"]);
    assert_eq!(may(&nothing, "c").await, "");
}

#[tokio::test]
async fn a_token_that_may_create_does_so() {
    let server = Server::new();
    let creator = server.http().with_token(&server.token(&["--admin"]));
    create_cache(&creator, "new", false).await;
    let path = TestPath::small("a");
    creator.upload("new", &path).await.expect(200);
    assert_eq!(said(&creator.delete("/_api/v1/cache-config/new").await), "403 AccessError");
    let narrow = server.http().with_token(&server.token(&["--create-cache", "team-*"]));
    create_cache(&narrow, "team-x", false).await;
    let elsewhere =
        narrow.send_json(reqwest::Method::POST, "/_api/v1/cache-config/other", &serde_json::json!({})).await;
    assert_eq!(said(&elsewhere), "401 Unauthorized");
}

#[tokio::test]
async fn tokens_outlive_a_restart() {
    let mut world = World::new().await;
    let pusher = world.server.http().with_token(&world.server.token(&["--push", "main"]));
    world.server.restart();
    pusher.upload("main", &TestPath::small("a")).await.expect(200);
}
