//! `push`, from a store that is made up: a folder, and a `nix` that knows what is in it.

use std::{fs, os::unix::fs::PermissionsExt};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{
    cli::lab::Lab,
    harness::{Node, Server, TestPath},
};

/// A home with a store of files, whose closure is all of it.
struct Store {
    lab: Lab,
    paths: Vec<TestPath>,
}

impl Store {
    async fn new(server: &Server, contents: &[&'static str]) -> Self {
        let lab = Lab::at(server).await.env("ATTIC_SERVER", &server.url());
        let remote = format!("local?root={}", lab.path("root").display());
        let lab = lab.env("NIX_REMOTE", &remote);
        let paths: Vec<TestPath> = contents.iter().map(|&text| TestPath::new(text, &Node::file(text))).collect();
        let info = |path: &TestPath| -> Value {
            json!({"path": format!("/nix/store/{}", path.info.path), "narHash": path.info.nar_hash.to_string(),
                "narSize": path.info.nar_size, "references": [], "valid": true})
        };
        lab.file("path-info.json", &json!(paths.iter().map(info).collect::<Vec<_>>()).to_string());
        let nix = lab.file("bin/nix", "#!/bin/sh\nexec /bin/cat \"$HOME/path-info.json\"\n");
        fs::set_permissions(nix, PermissionsExt::from_mode(0o755)).unwrap();
        let store = Self { lab, paths };
        for (path, text) in store.paths.iter().zip(contents) {
            store.write(path, text);
        }
        store
    }

    fn write(&self, path: &TestPath, text: &str) {
        let file = self.lab.file(&format!("root/nix/store/{}", path.info.path), text);
        fs::set_permissions(file, PermissionsExt::from_mode(0o444)).unwrap();
    }

    /// Exchanges a file behind Nix's back.
    fn damage(&self, path: &TestPath) {
        fs::remove_file(self.lab.path(&format!("root/nix/store/{}", path.info.path))).unwrap();
        self.write(path, "damaged, and of another length");
    }

    fn with_token(mut self, token: &str) -> Self {
        self.lab = self.lab.env("ATTIC_TOKEN", token);
        self
    }

    fn push(&self, options: &[&str]) -> String {
        let path = format!("/nix/store/{}", self.paths[0].info.path);
        self.lab.client(&[&["push", "main"], options, &[&path]].concat())
    }
}

#[tokio::test]
async fn a_closure_is_pushed_once() {
    let server = Server::new();
    let store = Store::new(&server, &["one", "two"]).await.with_token(&server.token(&[]));
    assert_snapshot!(store.push(&["--dry-run"]), @"
    exit 0
    > would send 2 paths (240 B) to main
    ");
    assert_snapshot!(store.push(&["--dry-run", "--explain"]), @"
    exit 0
    > send qm99vznhxbjwq4yisqcbajbqddiwnk74-two 120 B, 120 B new to the cache
    > send wnm2ajljwabkzx1rnxlidlps0wcz59vx-one 120 B, 120 B new to the cache
    > would send 2 paths (240 B, 240 B of them new in 2 of 2 chunks) to main
    ");
    assert_snapshot!(store.push(&[]), @"
    exit 0
    sending 2 paths (240 B) to main
    pushed qm99vznhxbjwq4yisqcbajbqddiwnk74-two (120 B)
    pushed wnm2ajljwabkzx1rnxlidlps0wcz59vx-one (120 B)
    sent 2 paths (240 B as 1.0 KiB) to main in N s
    ");
    let key = server.http().public_key("main").await;
    for path in &store.paths {
        server.http().pull_same("main", path, &key).await;
    }
    assert_snapshot!(store.push(&[]), @"
    exit 0
    sent 0 paths (0 B) to main in N s; 2 paths there already
    ");
    assert_eq!(store.push(&["--quiet"]), "exit 0\n");
}

#[tokio::test]
async fn what_was_done_can_be_had_as_json() {
    let server = Server::new();
    let store = Store::new(&server, &["one"]).await.with_token(&server.token(&[]));
    let said = store.push(&["--json", "--quiet"]);
    let json: Value = serde_json::from_str(said.strip_prefix("exit 0\n> ").unwrap()).unwrap();
    assert_eq!(json["results"][0]["path"], format!("/nix/store/{}", store.paths[0].info.path), "{json}");
    assert_eq!(json["results"][0]["outcome"], "uploaded", "{json}");
}

/// 3: some paths are in the cache, others are not. 1: none is.
#[tokio::test]
async fn a_push_may_go_well_in_part() {
    let server = Server::new();
    let store = Store::new(&server, &["good", "bad"]).await.with_token(&server.token(&[]));
    store.damage(&store.paths[1]);
    let said = store.push(&[]);
    assert!(said.starts_with("exit 3\n"), "{said}");
    assert!(said.contains(&store.paths[1].info.path.to_string()), "the one that failed is named: {said}");
    let key = server.http().public_key("main").await;
    server.http().pull_same("main", &store.paths[0], &key).await;
    assert!(server.http().pull("main", &store.paths[1].hash(), &key).await.is_absent());

    let again = store.push(&[]);
    assert!(again.starts_with("exit 1\n"), "what is there already is no success of this push: {again}");
}

#[tokio::test]
async fn a_push_needs_leave_a_server_and_something_to_push() {
    let mut server = Server::new();
    let store = Store::new(&server, &["one"]).await;
    assert_snapshot!(store.push(&[]), @"
    exit 4
    error: main on http://SERVER/: Unauthorized. (Unauthorized, status 401)
    hint: Log in, or put the token as the password for this host into the netrc file. An expired token is no token.
    ");
    assert_snapshot!(store.lab.client(&["push", "main", "/etc/passwd"]), @"
    exit 2
    error: /etc/passwd is not in the Nix store: it leads to /etc/passwd
    hint: give store paths, or links to them such as ./result
    ");
    assert_snapshot!(store.lab.client(&["push", "main", "./absent"]), @"
    exit 2
    error: cannot read HOME/absent: No such file or directory (os error 2)
    ");
    let store = store.with_token(&server.token(&["--pull", "main"]));
    assert_snapshot!(store.push(&[]), @"
    exit 4
    error: main on http://SERVER/: Your token does not allow this. (AccessError, status 403)
    hint: Ask an admin for a token with the permission.
    ");
    server.terminate();
    assert!(store.push(&[]).starts_with("exit 5\n"));
}

#[tokio::test]
async fn without_nix_nothing_can_be_pushed() {
    let server = Server::new();
    let store = Store::new(&server, &["one"]).await.with_token(&server.token(&[]));
    fs::remove_file(store.lab.path("bin/nix")).unwrap();
    assert_snapshot!(store.push(&[]), @"
    exit 1
    error: cannot run `nix`: No such file or directory (os error 2)
    hint: is Nix installed, and `nix` in PATH?
    ");
}
