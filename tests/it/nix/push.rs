//! The main job: our client pushes, Nix substitutes with signatures required.

use crate::harness::{
    Server,
    nix::{Closure, clients},
};

/// `nix copy --from` and `nix-store --realise` into empty stores; every path is valid there, signature included.
#[tokio::test]
async fn nix_substitutes_what_was_pushed() {
    for client in clients() {
        let server = Server::new();
        let key = server.http().public_key("main").await;
        let substituter = format!("substituters = {}/main", server.url());
        let trusted = format!("trusted-public-keys = {key}");
        let nix = client.at_home(&server, &[&substituter, &trusted]);
        let closure = Closure::build(&nix);
        let source = closure.copy_to_root(&nix, "source");
        let token = server.token(&["--cache", "main"]);
        nix.push(&server, &source, &token, &["push", "main", &closure.top]);

        let copied = nix.place("copied");
        nix.ok(&["copy", "--from", &format!("{}/main", server.url()), "--to", &copied, &closure.top]);
        closure.assert_valid_in(&nix, &copied);
        nix.ok(&["store", "verify", "--store", &copied, "--recursive", &closure.top]);

        let realised = nix.place("realised");
        nix.ok(&["nix-store", "--store", &realised, "--realise", &closure.top]);
        closure.assert_valid_in(&nix, &realised);

        // The cache is the same at the root of the server.
        let at_root = nix.place("at-root");
        nix.ok(&["copy", "--from", &server.url(), "--to", &at_root, &closure.top]);
        closure.assert_valid_in(&nix, &at_root);

        // Everything is there, so pushing again stores nothing.
        let stored = server.stored_bytes();
        nix.push(&server, &source, &token, &["push", "main", &closure.top]);
        assert_eq!(server.stored_bytes(), stored);
    }
}

/// Whoever trusts another key gets nothing.
#[tokio::test]
async fn nix_refuses_what_another_key_has_signed() {
    for client in clients() {
        let server = Server::new();
        let key = server.http().public_key("main").await;
        let other = Server::new().http().public_key("main").await;
        assert_eq!(key.name(), other.name());
        let nix = client.at_home(&server, &[&format!("trusted-public-keys = {other}")]);
        let closure = Closure::build(&nix);
        let source = closure.copy_to_root(&nix, "source");
        nix.push(&server, &source, &server.token(&[]), &["push", "main", &closure.top]);

        let empty = nix.place("empty");
        let cache = format!("{}/main", server.url());
        let said = nix.fails(&["copy", "--from", &cache, "--to", &empty, &closure.top]);
        assert!(said.contains("signature"), "{said}");
        nix.fails(&["nix-store", "--store", &empty, "--verify-path", closure.path("itself")]);
    }
}
