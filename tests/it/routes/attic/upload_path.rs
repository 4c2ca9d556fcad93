//! `PUT /_api/v1/upload-path`

mod bad_body;
mod bad_metadata;
mod styles;

use formats::{NarHash, PublicKey, Signature, StoreDir};
use protocol::attic::NAR_INFO_HEADER;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::{
    said::said,
    world::{World, create_cache, missing, narinfo},
};
use crate::harness::{Answer, Http, Node, Seed, Server, TestPath, answer, decompress};

const URL: &str = "/_api/v1/upload-path";

/// What Attic's client would say of the path, changed.
fn about(path: &TestPath, change: impl FnOnce(&mut Value)) -> Value {
    let mut about = serde_json::to_value(path.upload_info("main")).unwrap();
    change(&mut about);
    about
}

/// Uploads under any metadata, well-formed or not, in the header.
async fn upload(http: &Http, about: &Value, nar: impl Into<reqwest::Body>) -> Answer {
    answer(http.request(Method::PUT, URL).header(NAR_INFO_HEADER, about.to_string()).body(nar)).await
}

/// The NAR of a path as the cache serves it, unpacked.
async fn served(http: &Http, cache: &str, path: &TestPath) -> Vec<u8> {
    let narinfo = narinfo(http, cache, path).await;
    let file = http.get(&format!("/{cache}/{}", narinfo.url)).await.expect(200);
    decompress(narinfo.compression, &file.body).await.unwrap()
}

#[tokio::test]
async fn an_upload_tells_what_was_stored() {
    let server = Server::new();
    let admin = server.admin();
    let path = TestPath::new("p", &Node::noise(&mut Seed::new(1, "upload"), 300_000));
    let first = admin.upload("main", &path).await.expect(200);
    let file_size = narinfo(&admin, "main", &path).await.file_size.unwrap();
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.text(), format!(r#"{{"kind":"Uploaded","file_size":{file_size},"frac_deduplicated":0.0}}"#));

    let again = admin.upload("main", &path).await.expect(200);
    assert_eq!(again.text(), r#"{"kind":"Deduplicated","frac_deduplicated":null}"#);
    assert_eq!(served(&admin, "main", &path).await, path.nar);
}

#[tokio::test]
async fn the_share_that_was_there_already_is_told() {
    let server = Server::new();
    let admin = server.admin();
    let (common, new) =
        (Node::noise(&mut Seed::new(2, "common"), 600_000), Node::noise(&mut Seed::new(2, "new"), 300_000));
    let first = TestPath::new("first", &Node::directory([("common", common.clone())]));
    let second = TestPath::new("second", &Node::directory([("common", common), ("new", new)]));
    admin.upload("main", &first).await.expect(200);
    let told = admin.upload("main", &second).await.expect(200).json();
    assert_eq!(told["kind"], "Uploaded");
    let share = told["frac_deduplicated"].as_f64().unwrap();
    // Files begin chunks, so all of the common one but its ends is found again.
    assert!((0.5..=0.667).contains(&share), "{told}");
}

#[tokio::test]
async fn a_path_is_in_the_caches_that_it_was_pushed_to() {
    let server = Server::new();
    let admin = server.admin();
    create_cache(&admin, "second", true).await;
    let path = TestPath::small("a");
    admin.upload("main", &path).await.expect(200);
    assert_eq!(said(&admin.get(&format!("/second/{}.narinfo", path.hash())).await), "404 NoSuchObject");
    let url = narinfo(&admin, "main", &path).await.url;
    assert_eq!(said(&admin.get(&format!("/second/{url}")).await), "404 NoSuchObject", "nor can its NAR be guessed");

    assert_eq!(admin.upload("second", &path).await.expect(200).json()["kind"], "Deduplicated");
    for cache in ["main", "second"] {
        let key = admin.public_key(cache).await;
        let info = narinfo(&admin, cache, &path).await.info;
        assert!(info.is_signed_by(&StoreDir::default(), [&key]), "each cache signs with its own key");
        assert_eq!(served(&admin, cache, &path).await, path.nar);
    }
}

#[tokio::test]
async fn who_pushes_what_is_there_must_have_it() {
    let mut world = World::new().await;
    world.create_cache("second", true).await;
    let path = &world.kept;
    let info = path.upload_info("second");
    let mut changed = path.nar.to_vec();
    changed[100] ^= 1;
    for (body, expected) in [
        (Vec::new(), "400 NarSizeMismatch"),
        (path.nar[..path.nar.len() - 1].to_vec(), "400 NarSizeMismatch"),
        ([&path.nar[..], b"x"].concat(), "400 NarSizeMismatch"),
        (changed, "400 NarHashMismatch"),
    ] {
        assert_eq!(said(&world.admin.upload_as(&info, body).await), expected);
        assert_eq!(missing(&world.admin, "second", &[path]).await, [path.hash()]);
    }
    let mut resized = info.clone();
    resized.nar_size -= 8;
    let shorter = path.nar[..path.nar.len() - 8].to_vec();
    assert_eq!(said(&world.admin.upload_as(&resized, shorter).await), "400 NarHashMismatch");
    assert_eq!(said(&world.admin.upload_as(&resized, path.nar.clone()).await), "400 NarSizeMismatch");
    world.untouched("second").await;
    world.admin.upload_as(&info, path.nar.clone()).await.expect(200);
}

#[tokio::test]
async fn a_server_can_do_without_proof_of_possession() {
    let server = Server::builder().config("require-proof-of-possession = false\n").start();
    let admin = server.admin();
    create_cache(&admin, "second", true).await;
    let path = TestPath::small("a");
    admin.upload("main", &path).await.expect(200);
    let told = admin.upload_as(&path.upload_info("second"), "").await.expect(200);
    assert_eq!(told.text(), r#"{"kind":"Deduplicated","frac_deduplicated":null}"#);
    assert_eq!(served(&admin, "second", &path).await, path.nar);
    let mut lie = path.upload_info("second");
    lie.nar_size += 8;
    assert_eq!(said(&admin.upload_as(&lie, "").await), "400 NarSizeMismatch");
}

#[tokio::test]
async fn of_two_nars_for_one_path_the_first_stays() {
    let server = Server::new();
    let admin = server.admin();
    let first = TestPath::small("first");
    let mut second = TestPath::small("second");
    second.info.path = first.info.path.clone();
    admin.upload("main", &first).await.expect(200);
    let before = narinfo(&admin, "main", &first).await;
    admin.upload("main", &second).await.expect(200);
    assert_eq!(narinfo(&admin, "main", &first).await, before);
    assert_eq!(served(&admin, "main", &first).await, first.nar);
    let metrics = admin.get("/metrics").await.text();
    assert!(metrics.contains("flywheel_divergent_pushes_total{cache=\"main\"} 1"), "{metrics}");
}

#[tokio::test]
async fn signatures_and_deriver_of_a_second_push_are_added() {
    let server = Server::new();
    let admin = server.admin();
    let key = formats::SecretKey::generate("builder-1".parse().unwrap(), [3; 32]);
    let mut path = TestPath::small("a");
    admin.upload("main", &path).await.expect(200);
    path.info.sign(&StoreDir::default(), &key);
    admin.upload("main", &path).await.expect(200);
    let info = narinfo(&admin, "main", &path).await.info;
    let own = admin.public_key("main").await;
    assert!(info.is_signed_by(&StoreDir::default(), [&key.public_key()]), "{info:?}");
    assert!(info.is_signed_by(&StoreDir::default(), [&own]), "{info:?}");
}

#[tokio::test]
async fn unsorted_references_are_served_sorted_and_signed_so() {
    let server = Server::new();
    let admin = server.admin();
    let path = TestPath::small("a");
    let mut references: Vec<String> = (0..9).map(|i| TestPath::small(&format!("r{i}")).info.path.to_string()).collect();
    references.push(path.info.path.to_string());
    references.sort();
    references.rotate_left(4);
    references.push(references[0].clone());
    let about = about(&path, |about| about["references"] = json!(references));
    upload(&admin, &about, path.nar.clone()).await.expect(200);

    references.sort();
    references.dedup();
    let text = admin.get(&format!("/main/{}.narinfo", path.hash())).await.text();
    let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(line("References: "), references.join(" "));
    // What Nix checks, put together from the text alone.
    let full: Vec<String> = references.iter().map(|base| format!("/nix/store/{base}")).collect();
    let fingerprint =
        format!("1;{};{};{};{}", line("StorePath: "), line("NarHash: "), line("NarSize: "), full.join(","));
    let key: PublicKey = admin.public_key("main").await;
    let signature: Signature = line("Sig: ").parse().unwrap();
    assert!(key.verify(&fingerprint, &signature), "{fingerprint}");
}

#[tokio::test]
async fn every_spelling_of_the_hash_is_one_hash() {
    let server = Server::new();
    let admin = server.admin();
    let path = TestPath::small("a");
    let hash: NarHash = path.info.nar_hash;
    let base64 = data_encoding::BASE64.encode(hash.as_bytes());
    for spelled in [
        format!("sha256:{}", hash.hex()),
        format!("sha256:{}", hash.nix32()),
        format!("sha256:{base64}"),
        format!("sha256-{base64}"),
    ] {
        upload(&admin, &about(&path, |about| about["nar_hash"] = json!(spelled)), path.nar.clone()).await.expect(200);
        assert_eq!(narinfo(&admin, "main", &path).await.info.nar_hash, hash);
    }
}

#[tokio::test]
async fn only_who_may_push_may_upload() {
    let mut world = World::new().await;
    world.create_cache("private", false).await;
    let server = &world.server;
    let path = TestPath::small("a");
    let puller = server.http().with_token(&server.token(&["--pull", "*"]));
    let stranger = server.http().with_token(&server.token(&["--push", "elsewhere"]));
    for (who, cache, expected) in [
        (&server.http(), "main", "401 Unauthorized"),
        (&server.http(), "private", "401 Unauthorized"),
        (&server.http(), "absent", "401 Unauthorized"),
        (&stranger, "main", "403 AccessError"),
        (&stranger, "private", "401 Unauthorized"),
        (&stranger, "absent", "401 Unauthorized"),
        (&puller, "main", "403 AccessError"),
        (&puller, "private", "403 AccessError"),
        (&world.admin, "absent", "404 NoSuchCache"),
    ] {
        world.refused(&path, &who.upload(cache, &path).await, expected, cache).await;
    }
}

#[tokio::test]
async fn odd_trees_come_back_as_they_went() {
    let server = Server::new();
    let admin = server.admin();
    for (name, node) in [
        ("odd", Node::odd()),
        ("empty", Node::file("")),
        ("executable", Node::File { executable: true, contents: "x".into() }),
        ("link", Node::Symlink(b"/nowhere".to_vec())),
        ("nothing", Node::Directory(Default::default())),
        ("not-utf-8", Node::directory([(vec![0xff, 0xfe], Node::file("x"))])),
        ("large", Node::noise(&mut Seed::new(3, "large"), 3_000_000)),
    ] {
        let path = TestPath::new(name, &node);
        admin.upload("main", &path).await.expect(200);
        assert_eq!(served(&admin, "main", &path).await, path.nar, "{name}");
    }
}
