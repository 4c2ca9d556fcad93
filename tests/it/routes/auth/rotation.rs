//! Another key for tokens, without a moment in which a good one is refused.

use std::fs;

use super::{create_cache, may};
use crate::harness::Server;

#[tokio::test]
async fn keys_are_changed_with_an_overlap() {
    let secret = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
    let signing = |text: &str| format!("[jwt.signing]\ntoken-hs256-secret-base64 = \"{}\"\n", secret(text));
    let mut server = Server::builder().config(signing("first")).start();
    create_cache(&server.admin(), "private", false).await;
    let with = |server: &Server, token: &str| server.http().with_token(token);
    let old = server.token(&["--cache", "private"]);

    let tokens = "[flywheel.tokens]\nkey-id = \"second\"\n";
    let other = format!("[[flywheel.tokens.other-keys]]\ntoken-hs256-secret-base64 = \"{}\"\n", secret("first"));
    fs::write(server.scratch().join("server.toml"), format!("{}{tokens}{other}", signing("second"))).unwrap();
    server.restart();
    let new = server.token(&["--cache", "private"]);
    for token in [&old, &new] {
        assert_eq!(may(&with(&server, token), "private").await, "r w");
    }
    let shown = server.command().arg("check-config").output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("key-id = \"second\"") && !shown.contains(&secret("first")), "{shown}");

    fs::write(server.scratch().join("server.toml"), format!("{}{tokens}", signing("second"))).unwrap();
    server.restart();
    assert_eq!(may(&with(&server, &old), "private").await, "");
    assert_eq!(may(&with(&server, &new), "private").await, "r w");
}
