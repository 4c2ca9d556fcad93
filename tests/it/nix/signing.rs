//! Signatures that clients make, beside the cache's own.

use std::collections::BTreeSet;

use formats::{NarInfo, SecretKey, StoreDir};

use crate::harness::{
    Server,
    nix::{Closure, Nix, NixClient, clients, hash_part},
};

fn key(name: &str, seed: u8) -> SecretKey {
    SecretKey::generate(name.parse().unwrap(), [seed; 32])
}

/// Somebody who may push to `main`, by netrc.
fn pusher(client: &NixClient, server: &Server, lines: &[&str]) -> Nix {
    let home = client.at_home(server, &[]);
    let netrc = home.file("netrc", &format!("machine 127.0.0.1 password {}\n", server.token(&["--cache", "main"])));
    let netrc = format!("netrc-file = {netrc}");
    client.at_home(server, &[lines, &[&netrc]].concat())
}

/// Who has signed the path, every signature checked.
async fn signers(server: &Server, path: &str, keys: &[SecretKey]) -> BTreeSet<String> {
    let text = server.http().get(&format!("/main/{}.narinfo", hash_part(path))).await.expect(200).text();
    let info = NarInfo::parse(&StoreDir::default(), text).unwrap().info;
    let own = server.http().public_key("main").await;
    let known: Vec<_> = keys.iter().map(SecretKey::public_key).chain([own]).collect();
    let fingerprint = info.fingerprint(&StoreDir::default());
    for signature in &info.signatures {
        assert!(known.iter().any(|key| key.verify(&fingerprint, signature)), "{signature} is false");
    }
    info.signatures.iter().map(|signature| signature.key_name().to_string()).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// `?secret-key=`: the client's signature stays beside the cache's, and either is enough for substitution.
#[tokio::test]
async fn a_clients_signature_is_kept() {
    for client in clients() {
        let server = Server::new();
        let builder = key("builder-1", 1);
        let trusted = format!("trusted-public-keys = {}", builder.public_key());
        let nix = pusher(&client, &server, &[&trusted]);
        let closure = Closure::build(&nix);
        let file = nix.file("secret-key", &builder.to_text());
        let cache = format!("{}/main", server.url());
        nix.ok(&["copy", "--to", &format!("{cache}?compression=zstd&secret-key={file}"), &closure.top]);
        for path in &closure.paths {
            let signers = signers(&server, path, std::slice::from_ref(&builder)).await;
            assert_eq!(signers, names(&["builder-1", "main"]), "{path}");
        }
        let root = nix.place("root");
        nix.ok(&["copy", "--from", &cache, "--to", &root, &closure.top]);
        closure.assert_valid_in(&nix, &root);
    }
}

/// `nix store sign` and `nix store copy-sigs` write narinfos back that were read from the cache.
#[tokio::test]
async fn signatures_can_be_added_later() {
    for client in clients() {
        let server = Server::new();
        let keys = [key("later-1", 2), key("elsewhere-1", 3)];
        let nix = pusher(&client, &server, &[]);
        let closure = Closure::build(&nix);
        let cache = format!("{}/main", server.url());
        nix.ok(&["copy", "--to", &format!("{cache}?compression=none"), &closure.top]);

        let file = nix.file("later", &keys[0].to_text());
        nix.ok(&["store", "sign", "--store", &cache, "--key-file", &file, "--recursive", &closure.top]);
        let path = closure.path("itself");
        assert_eq!(signers(&server, path, &keys).await, names(&["later-1", "main"]));

        // A store that has the path with another signature gives it to the cache.
        let root = closure.copy_to_root(&nix, "root");
        let file = nix.file("elsewhere", &keys[1].to_text());
        nix.ok(&["store", "sign", "--store", &root, "--key-file", &file, "--recursive", &closure.top]);
        let copy = ["store", "copy-sigs", "--store", &cache, "--substituter", &root, "--recursive", &closure.top];
        nix.ok(&copy);
        assert_eq!(signers(&server, path, &keys).await, names(&["elsewhere-1", "later-1", "main"]));
    }
}
