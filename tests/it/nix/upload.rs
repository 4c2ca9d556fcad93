//! `nix copy --to http://…`: plain PUT, with whatever compression the client likes.

use std::process::Stdio;

use crate::harness::{
    Server,
    nix::{Closure, Nix, NixClient, pairs},
};

/// Somebody who may push to `main`, by netrc, and trusts its key.
async fn pusher(client: &NixClient, server: &Server) -> Nix {
    let trusted = format!("trusted-public-keys = {}", server.http().public_key("main").await);
    let home = client.at_home(server, &[]);
    let netrc = home.file("netrc", &format!("machine 127.0.0.1 password {}\n", server.token(&["--cache", "main"])));
    client.at_home(server, &[&trusted, &format!("netrc-file = {netrc}")])
}

/// What one version put, another one gets.
#[tokio::test]
async fn one_nix_copies_in_and_another_out() {
    for (writer, reader) in pairs() {
        for compression in ["xz", "zstd", "none", "bzip2"] {
            let server = Server::new();
            let cache = format!("{}/main", server.url());
            let nix = pusher(&writer, &server).await;
            let closure = Closure::build(&nix);
            nix.ok(&["copy", "--to", &format!("{cache}?compression={compression}"), &closure.top]);

            let nix = pusher(&reader, &server).await;
            let root = nix.place("root");
            nix.ok(&["copy", "--from", &cache, "--to", &root, &closure.top]);
            closure.assert_valid_in(&nix, &root);
        }
    }
}

/// Two builders that end at the same time push what they share.
#[tokio::test]
async fn overlapping_copies_at_once() {
    for (one, other) in pairs() {
        let server = Server::new();
        let cache = format!("{}/main", server.url());
        let mut running = Vec::new();
        let mut closures = Vec::new();
        for client in [&one, &one, &other] {
            let nix = pusher(client, &server).await;
            let closure = Closure::build(&nix);
            let mut copy = nix.command(&["copy", "--to", &format!("{cache}?compression=zstd"), &closure.top]);
            running.push(copy.stderr(Stdio::piped()).spawn().unwrap());
            closures.push(closure);
        }
        for copy in running {
            let output = copy.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let nix = pusher(&one, &server).await;
        let root = nix.place("root");
        for closure in closures {
            nix.ok(&["copy", "--from", &cache, "--to", &root, &closure.top]);
            closure.assert_valid_in(&nix, &root);
        }
    }
}

/// Without a token nothing gets in.
#[tokio::test]
async fn nobody_copies_in_without_a_token() {
    for (client, _) in pairs() {
        let server = Server::new();
        let nix = client.at_home(&server, &[]);
        let closure = Closure::build(&nix);
        nix.fails(&["copy", "--to", &format!("{}/main", server.url()), &closure.top]);
        for path in &closure.paths {
            let narinfo = format!("/main/{}.narinfo", crate::harness::nix::hash_part(path));
            server.http().get(&narinfo).await.expect(404);
        }
    }
}
