//! The index is lost, and made anew from the storage.

use std::collections::BTreeMap;

use crate::harness::{
    Server,
    nix::{Closure, clients, hash_part},
};

/// Data that came in every way, with documents: all of it is there again, byte for byte, and Nix substitutes it.
#[tokio::test]
async fn a_lost_index_comes_back_from_the_packs() {
    for client in clients() {
        let mut server = Server::new();
        let key = server.http().public_key("main").await;
        let token = server.token(&["--cache", "*"]);
        let home = client.at_home(&server, &[]);
        let netrc = home.file("netrc", &format!("machine 127.0.0.1 password {token}\n"));
        let nix = client.at_home(&server, &[&format!("netrc-file = {netrc}"), &format!("trusted-public-keys = {key}")]);
        let closure = Closure::build(&nix);
        let source = closure.copy_to_root(&nix, "source");

        // Part of it by plain PUT, all of it over Attic's protocol, and natively into another cache; and a key more.
        let cache = format!("{}/main", server.url());
        nix.ok(&["copy", "--to", &format!("{cache}?compression=xz"), closure.path("itself")]);
        nix.push(&server, &source, &token, &["push", "--protocol", "attic", "main", &closure.top]);
        crate::routes::create_cache(&server.admin(), "other", true).await;
        nix.push(&server, &source, &token, &["push", "--protocol", "native", "other", &closure.top]);
        nix.ok(&["store", "copy-log", "--to", &cache, &closure.derivation]);
        let added = server.command().args(["cache", "key", "add", "main"]).output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));

        let before = answers(&server, &closure).await;
        assert!(server.terminate().success());
        server.lose_index();
        let rebuilt = server.command().args(["rebuild-index", "--verify", "--json"]).output().unwrap();
        let said = String::from_utf8_lossy(&rebuilt.stderr);
        assert!(rebuilt.status.success(), "{said}");
        let report: serde_json::Value = serde_json::from_slice(&rebuilt.stdout).unwrap();
        assert_eq!(report["caches"], 2, "{report:#}");
        assert_eq!(report["paths"], 2 * closure.paths.len(), "{report:#}");

        // Not twice by mistake.
        let again = server.command().args(["rebuild-index"]).output().unwrap();
        assert_eq!(again.status.code(), Some(1));

        server.restart();
        assert_eq!(answers(&server, &closure).await, before);
        // A Nix that remembers nothing of what it put.
        let reader = client.at_home(&server, &[&format!("trusted-public-keys = {key}")]);
        let root = reader.place("root");
        reader.ok(&["copy", "--from", &cache, "--to", &root, &closure.top]);
        closure.assert_valid_in(&reader, &root);
        let log = format!("/main/log/{}", closure.derivation.rsplit('/').next().unwrap());
        assert_eq!(server.http().get(&log).await.expect(200).text().trim_end(), "building the top");
        // And goes on as if nothing had been.
        let stored = server.stored_bytes();
        nix.push(&server, &source, &token, &["push", "main", &closure.top]);
        assert_eq!(server.stored_bytes(), stored);
    }
}

/// Every narinfo and listing of the closure, in both caches, as they are served.
async fn answers(server: &Server, closure: &Closure) -> BTreeMap<String, String> {
    let mut answers = BTreeMap::new();
    for cache in ["main", "other"] {
        for path in &closure.paths {
            for kind in ["narinfo", "ls"] {
                let url = format!("/{cache}/{}.{kind}", hash_part(path));
                let answer = server.http().get(&url).await;
                answers.insert(url, format!("{} {}", answer.status, answer.text()));
            }
        }
    }
    answers
}
