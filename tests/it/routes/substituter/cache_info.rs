//! `GET /{cache}/nix-cache-info`

use reqwest::Method;
use serde_json::json;

use super::super::{said::said, world::create_cache};
use crate::harness::Server;

#[tokio::test]
async fn it_tells_store_dir_and_priority() {
    let server = Server::new();
    let answer = server.http().get("/main/nix-cache-info").await.expect(200);
    assert_eq!(answer.text(), "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n");
    assert_eq!(answer.header("content-type"), "text/x-nix-cache-info");
    assert_eq!(answer.header("x-attic-cache-visibility"), "public");
    let head = server.http().head("/main/nix-cache-info").await.expect(200);
    assert_eq!(head.header("content-length"), answer.body.len().to_string());
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn it_follows_the_settings_of_the_cache() {
    let server = Server::new();
    let admin = server.admin();
    create_cache(&admin, "c", true).await;
    let change = json!({"priority": -7, "store_dir": "/gnu/store"});
    admin.send_json(Method::PATCH, "/_api/v1/cache-config/c", &change).await.expect(200);
    let info = server.http().get("/c/nix-cache-info").await.expect(200).text();
    assert_eq!(info, "StoreDir: /gnu/store\nWantMassQuery: 1\nPriority: -7\n");
}

#[tokio::test]
async fn a_private_one_is_for_those_with_a_token() {
    let server = Server::new();
    create_cache(&server.admin(), "private", false).await;
    let url = "/private/nix-cache-info";
    assert_eq!(said(&server.http().get(url).await), "401 Unauthorized");
    let reader = server.http().with_token(&server.token(&["--pull", "private"]));
    let answer = reader.get(url).await.expect(200);
    assert_eq!(answer.header("x-attic-cache-visibility"), "");
    let pusher = server.http().with_token(&server.token(&["--push", "private"]));
    assert_eq!(said(&pusher.get(url).await), "403 AccessError");
}
