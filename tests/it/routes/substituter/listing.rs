//! `GET /{cache}/{hash}.ls`

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::said::said;
use crate::harness::{Node, Server, TestPath};

fn url(path: &TestPath) -> String {
    format!("/main/{}.ls", path.hash())
}

/// What Nix writes of a tree, but for where in the NAR the contents of its files are.
fn listing(node: &Node) -> Value {
    match node {
        Node::Symlink(target) => json!({"type": "symlink", "target": String::from_utf8_lossy(target)}),
        Node::Directory(entries) => {
            let name = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
            let entries: BTreeMap<String, Value> =
                entries.iter().map(|(entry, node)| (name(entry), listing(node))).collect();
            json!({"type": "directory", "entries": entries})
        }
        Node::File { executable, contents } => {
            let mut file = json!({"type": "regular", "size": contents.len()});
            if *executable {
                file["executable"] = json!(true);
            }
            file
        }
    }
}

/// Takes the offsets out, and checks that each is where the contents are.
fn without_offsets(value: &mut Value, node: &Node, nar: &[u8]) {
    match node {
        Node::File { contents, .. } => {
            let offset = value.as_object_mut().unwrap().remove("narOffset").unwrap().as_u64().unwrap();
            let start = usize::try_from(offset).unwrap();
            assert_eq!(nar[start..start + contents.len()], contents[..]);
        }
        Node::Directory(entries) => {
            for (name, node) in entries {
                without_offsets(&mut value["entries"][std::str::from_utf8(name).unwrap()], node, nar);
            }
        }
        Node::Symlink(_) => {}
    }
}

#[tokio::test]
async fn it_is_made_of_the_nar() {
    let server = Server::new();
    for (name, node) in [("odd", Node::odd()), ("file", Node::file("x")), ("link", Node::Symlink(b"/x".to_vec()))] {
        let path = TestPath::new(name, &node);
        server.admin().upload("main", &path).await.expect(200);
        let answer = server.http().get(&url(&path)).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        let mut told = answer.json();
        without_offsets(&mut told["root"], &node, &path.nar);
        assert_eq!(told, json!({"version": 1, "root": listing(&node)}), "{name}");
        let head = server.http().head(&url(&path)).await.expect(200);
        assert_eq!(head.header("content-length"), answer.body.len().to_string());
    }
}

#[tokio::test]
async fn names_that_json_cannot_hold_have_no_listing() {
    let server = Server::new();
    let path = TestPath::new("latin", &Node::directory([(vec![0xe4], Node::file("x"))]));
    server.admin().upload("main", &path).await.expect(200);
    assert_eq!(said(&server.http().get(&url(&path)).await), "404 NoSuchObject");
}

#[tokio::test]
async fn one_that_was_put_goes_before_the_one_that_was_made() {
    let server = Server::new();
    let path = TestPath::small("a");
    server.admin().upload("main", &path).await.expect(200);
    let put = r#"{"root":{"type":"regular","size":0},"version":1}"#;
    server.admin().put(&url(&path), put).await.expect(200);
    assert_eq!(server.http().get(&url(&path)).await.expect(200).text(), put);
}

/// Nix puts the listing before the narinfo; it is to be seen when the path is.
#[tokio::test]
async fn it_comes_and_goes_with_its_path() {
    let server = Server::new();
    let path = TestPath::small("a");
    server.admin().put(&url(&path), "{}").await.expect(200);
    assert_eq!(said(&server.http().get(&url(&path)).await), "404 NoSuchObject");
    server.admin().upload("main", &path).await.expect(200);
    assert_eq!(server.http().get(&url(&path)).await.expect(200).text(), "{}");
}
