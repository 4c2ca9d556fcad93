//! The index moves to another database while nobody looks.

use std::{collections::BTreeMap, sync::Arc};

use formats::PublicKey;

use super::lab::{Builder, Lab};
use crate::{
    harness::{
        Server, TestPath,
        nix::{clients, hash_part},
    },
    routes::said::said,
};

fn copy(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = server.command().args(["index", "copy"]).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What everybody sees of the paths, and those in charge of the rest.
async fn seen(server: &Server, ada: &Builder, paths: &[&str]) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for place in ["main", "main@stable"] {
        for path in paths {
            for kind in ["narinfo", "ls"] {
                let url = format!("/{place}/{}.{kind}", hash_part(path));
                let answer = server.http().get(&url).await;
                seen.insert(url, format!("{} {}", answer.status, answer.text()));
            }
        }
    }
    for command in [&["promote", "history", "stable"][..], &["promote", "keys"], &["pin", "list", "main"]] {
        seen.insert(command.join(" "), ada.ok(command));
    }
    let told = |verb: &[&str]| String::from_utf8(server.command().args(verb).output().unwrap().stdout).unwrap();
    seen.insert("cache".to_owned(), told(&["cache", "info", "main"]));
    // When they were last used is written down while nobody looks.
    let tokens = told(&["token", "list", "--all"]);
    seen.insert("tokens".to_owned(), tokens.lines().filter_map(|line| line.split_whitespace().next()).collect());
    seen
}

/// There and back, with paths, tags, pins, tokens and who may not come in any more.
#[tokio::test]
async fn an_index_moves_with_everything() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    let (ci, ada) = (lab.builder(&client, "ci"), lab.promoter(&client));
    let (hello, leaf) = (ci.build(&lab, "hello"), ci.build(&lab, "leaf"));
    let (claim, state, lacking) = ci.claim(&lab.attribute("hello"));
    assert_eq!((state.as_str(), &lacking[..]), ("clean", &[][..]));
    ada.ok(&["promote", "tag", "stable", &claim.to_string()]);
    ci.ok(&["pin", "add", "main", "release", &hello]);
    let revoked = lab.server.token(&["--sub", "gone", "--pull", "main", "--push", "main"]);
    let revoke = lab.server.command().args(["token", "revoke", "--subject", "gone"]).output().unwrap();
    assert!(revoke.status.success());
    // A view is for everybody only if more than one builder says so; here its readers have a token.
    let before = seen(&lab.server, &ada, &[&hello, &leaf]).await;
    assert!(lab.server.terminate().success());

    let first = lab.server.index_url();
    let old = lab.server.move_index(Some(Arc::new(scratch::Database::new())));
    let second = lab.server.index_url();
    let (code, told, said_once) = copy(&lab.server, &["--from", &first, "--json"]);
    assert_eq!(code, Some(0), "{said_once}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let rows = |table: &str| {
        let mut tables = told["tables"].as_array().unwrap().iter();
        tables.find(|about| about["table"] == table).unwrap()["rows"].as_u64().unwrap()
    };
    assert_eq!((rows("tag"), rows("pin"), rows("revoked_subject")), (1, 1, 1), "{told:#}");
    let (code, _, said_twice) = copy(&lab.server, &["--from", &first]);
    assert_eq!(code, Some(1), "not twice: {said_twice}");
    assert!(said_twice.contains("is not empty") && said_twice.contains("hint: "), "{said_twice}");
    drop(old);

    lab.server.restart();
    assert_eq!(seen(&lab.server, &ada, &[&hello, &leaf]).await, before);
    let refused = lab.server.http().with_token(&revoked).upload("main", &TestPath::small("revoked")).await;
    assert!(said(&refused).starts_with("401"), "{}", said(&refused));
    let key: PublicKey = lab.server.http().public_key("main").await;
    let consumer = client.at_home(&lab.server, &[&format!("trusted-public-keys = {key}")]);
    let root = consumer.place("consumer");
    consumer.ok(&["copy", "--from", &format!("{}/main", lab.server.url()), "--to", &root, &hello]);
    consumer.ok(&["nix-store", "--store", &root, "--verify-path", &hello, &leaf]);
    // It goes on where it was: ids, deduplication, chains of revisions.
    let stored = lab.server.stored_bytes();
    ci.ok(&["push", "main", &hello]);
    let luck = ci.build(&lab, "luck");
    ci.ok(&["push", "main", &luck]);
    assert!(lab.server.stored_bytes() > stored);
    assert_eq!(lab.narinfo("main", &luck).await, 200);
    let (again, state, lacking) = ci.claim(&lab.attribute("leaf"));
    assert_eq!((state.as_str(), &lacking[..]), ("clean", &[][..]));
    assert!(again > claim);
    ada.ok(&["promote", "tag", "stable", &claim.to_string(), &again.to_string()]);
    let later = seen(&lab.server, &ada, &[&hello, &leaf, &luck]).await;
    assert!(lab.server.terminate().success());

    // And back, into a file.
    let file = format!("sqlite://{}", lab.server.scratch().join("back/index.sqlite").display());
    let (code, _, said) = copy(&lab.server, &["--from", &second, "--to", &file]);
    assert_eq!(code, Some(0), "{said}");
    lab.server.move_index(None);
    std::fs::rename(lab.server.scratch().join("back/index.sqlite"), lab.server.data_dir().join("index.sqlite"))
        .unwrap();
    for left in ["index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(lab.server.data_dir().join(left));
    }
    lab.server.restart();
    assert_eq!(seen(&lab.server, &ada, &[&hello, &leaf, &luck]).await, later);
}

#[test]
fn a_copy_needs_two_places() {
    let server = Server::builder().stopped();
    let there = format!("sqlite://{}", server.scratch().join("there.sqlite").display());
    let (code, _, said) = copy(&server, &[]);
    assert_eq!(code, Some(2), "{said}");
    let (code, _, said) = copy(&server, &["--from", &there, "--to", &there]);
    assert_eq!(code, Some(2), "{said}");
    let (code, _, said) = copy(&server, &["--from", "mysql://x/y"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, _, said) = copy(&server, &["--from", &there]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is no index at"), "{said}");
    assert!(!server.scratch().join("there.sqlite").exists(), "it was not made by looking for it");
}
