//! Private caches: the token is the password in a netrc file.

use serde_json::json;

use crate::harness::{
    Server,
    nix::{Closure, clients},
};

#[tokio::test]
async fn netrc_opens_a_private_cache() {
    for client in clients() {
        let server = Server::new();
        let config = json!({
            "keypair": "Generate", "is_public": false, "store_dir": "/nix/store", "priority": 41,
            "upstream_cache_key_names": [],
        });
        let admin = server.admin();
        admin.send_json(reqwest::Method::POST, "/_api/v1/cache-config/secret", &config).await.expect(200);
        let trusted = format!("trusted-public-keys = {}", admin.public_key("secret").await);
        let cache = format!("{}/secret", server.url());

        let nobody = client.at_home(&server, &[&trusted]);
        let closure = Closure::build(&nobody);
        let source = closure.copy_to_root(&nobody, "source");
        nobody.push(&server, &source, &server.token(&["--cache", "secret"]), &["push", "secret", &closure.top]);

        let reader = |token: &str| {
            let nix = client.at_home(&server, &[&trusted]);
            nix.file("netrc", &format!("machine 127.0.0.1 login nobody password {token}\n"));
            let netrc = nix.place("netrc");
            client.at_home(&server, &[&trusted, &format!("netrc-file = {netrc}")])
        };
        let allowed = reader(&server.token(&["--pull", "secret"]));
        let root = allowed.place("root");
        allowed.ok(&["copy", "--from", &cache, "--to", &root, &closure.top]);
        closure.assert_valid_in(&allowed, &root);

        let elsewhere = reader(&server.token(&["--pull", "another"]));
        for nix in [nobody, elsewhere, reader("garbage")] {
            let root = nix.place("root");
            nix.fails(&["copy", "--from", &cache, "--to", &root, &closure.top]);
            nix.fails(&["nix-store", "--store", &root, "--verify-path", closure.path("itself")]);
        }
    }
}
