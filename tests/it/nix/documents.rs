//! What Nix stores beside NARs: build logs, listings, links to debug information.

use serde_json::Value;

use crate::harness::{
    Server,
    nix::{Closure, Nix, NixClient, clients, hash_part},
};

fn pusher(client: &NixClient, server: &Server) -> Nix {
    let home = client.at_home(server, &[]);
    let netrc = home.file("netrc", &format!("machine 127.0.0.1 password {}\n", server.token(&["--cache", "main"])));
    client.at_home(server, &[&format!("netrc-file = {netrc}")])
}

/// `nix store copy-log` puts a log that `nix log` finds again, by derivation and by output.
#[tokio::test]
async fn build_logs() {
    for client in clients() {
        let server = Server::new();
        let nix = pusher(&client, &server);
        let closure = Closure::build(&nix);
        let cache = format!("{}/main", server.url());
        nix.ok(&["copy", "--to", &format!("{cache}?compression=zstd"), &closure.top]);
        // Old Nix looks for the log of a derivation only where the derivation is.
        nix.ok(&["copy", "--derivation", "--to", &format!("{cache}?compression=zstd"), &closure.derivation]);
        nix.ok(&["store", "copy-log", "--to", &cache, &closure.derivation]);
        let log = nix.ok(&["log", "--store", &cache, &closure.derivation]);
        assert_eq!(log, "building the top");
        let log = nix.ok(&["log", "--store", &cache, &closure.top]);
        assert_eq!(log, "building the top");
        nix.fails(&["log", "--store", &cache, closure.path("itself")]);

        // The name of this derivation has a `+`, and a `?` that clients do not escape.
        let odd = closure.path("odd+names_1.0-pre.2?x=y");
        let derivation = nix.ok(&["nix-store", "--query", "--deriver", odd]);
        nix.ok(&["store", "copy-log", "--to", &cache, &derivation]);
        assert_eq!(nix.ok(&["log", "--store", &cache, odd]), "building odd names");
    }
}

/// `index-debug-info=1`: debuggers find the NAR with the debug information of a build ID.
#[tokio::test]
async fn debug_information() {
    for client in clients() {
        let server = Server::new();
        let nix = pusher(&client, &server);
        let closure = Closure::build(&nix);
        let put = format!("{}/main?index-debug-info=1&compression=none", server.url());
        nix.ok(&["copy", "--to", &put, &closure.top]);
        let id = "00112233445566778899aabbccddeeff00112233";
        let link = server.http().get(&format!("/main/debuginfo/{id}.debug")).await.expect(200).json();
        assert_eq!(link["member"], format!("lib/debug/.build-id/00/{}.debug", &id[2..]));
        // What it names, relative to itself, is there.
        let archive = link["archive"].as_str().unwrap().strip_prefix("../").unwrap();
        server.http().head(&format!("/main/{archive}")).await.expect(200);
    }
}

/// `write-nar-listing=1`: the listing of a path says where each file is in the NAR, whoever made it.
#[tokio::test]
async fn listings() {
    for client in clients() {
        let server = Server::new();
        let nix = pusher(&client, &server);
        let closure = Closure::build(&nix);
        let put = format!("{}/main?write-nar-listing=1&compression=none", server.url());
        nix.ok(&["copy", "--to", &put, &closure.top]);
        for path in &closure.paths {
            let listing = server.http().get(&format!("/main/{}.ls", hash_part(path))).await.expect(200).json();
            assert_eq!(listing["version"], 1, "{path}");
            assert_eq!(listing["root"], own_listing(&nix, path)["root"], "{path}");
        }
    }
}

/// The listing that our server makes when the client sends none: the same.
#[tokio::test]
async fn listings_are_made_if_none_is_sent() {
    for client in clients() {
        let server = Server::new();
        let nix = pusher(&client, &server);
        let closure = Closure::build(&nix);
        nix.ok(&["copy", "--to", &format!("{}/main?compression=none", server.url()), &closure.top]);
        for path in &closure.paths {
            let listing = server.http().get(&format!("/main/{}.ls", hash_part(path))).await.expect(200).json();
            assert_eq!(listing["root"], own_listing(&nix, path)["root"], "{path}");
        }
    }
}

/// What Nix writes beside a NAR when it copies the path into a folder.
fn own_listing(nix: &Nix, path: &str) -> Value {
    let folder = nix.place("folder");
    nix.ok(&["copy", "--to", &format!("file://{folder}?write-nar-listing=1&compression=none"), path]);
    let text = std::fs::read(format!("{folder}/{}.ls", hash_part(path))).unwrap();
    serde_json::from_slice(&text).unwrap()
}
