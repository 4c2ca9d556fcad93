//! Metadata that must never be signed.

use serde_json::{Value, json};

use super::{about, upload};
use crate::{
    harness::{Server, TestPath},
    routes::world::{World, narinfo},
};

/// Uploads a good NAR once for each value of a field, and expects it to be refused.
async fn refused(field: &str, expected: &str, values: impl FnOnce(&TestPath) -> Vec<Value>) {
    let world = World::new().await;
    let path = TestPath::small("a");
    for value in values(&path) {
        let about = about(&path, |about| about[field] = value.clone());
        let answer = upload(&world.admin, &about, path.nar.clone()).await;
        world.refused(&path, &answer, expected, &format!("{field} {value}")).await;
    }
}

#[tokio::test]
async fn a_store_path_is_in_the_store_and_has_its_hash() {
    refused("store_path", "400 InvalidPathInfo", |path| {
        let (base, hash) = (path.info.path.to_string(), path.hash());
        let other = TestPath::small("b").info.path;
        vec![
            json!(""),
            json!("/"),
            json!("/etc/passwd"),
            json!("/nix/store"),
            json!("/nix/store/"),
            json!("/nix/store/."),
            json!("/nix/store/.."),
            json!(format!("/nix/store/{hash}")),
            json!(format!("/nix/store/{hash}-")),
            json!(format!("/nix/store/{other}")),
            json!(format!("/gnu/store/{base}")),
            json!(format!("/nix/store/../store/{base}")),
            json!(format!("/nix/store//{base}")),
            json!(format!("nix/store/{base}")),
            json!(base),
            json!(format!("/nix/store/{base}/")),
            json!(format!("/nix/store/{base}/bin/sh")),
            json!(format!("/nix/store/{base}\n")),
            json!(format!("/nix/store/{base}\nSig: x:y")),
            json!(format!("/nix/store/{base}\0")),
            json!(format!("/nix/store/{hash}-a b")),
            json!(format!("/nix/store/{hash}-ä")),
            json!(format!("/nix/store/{hash}-..")),
            json!(format!("/nix/store/{hash}-{}", "x".repeat(212))),
            json!(format!("/nix/store/{}-e", "e".repeat(32))),
        ]
    })
    .await;
}

#[tokio::test]
async fn the_hash_part_is_that_of_the_store_path() {
    refused("store_path_hash", "400 InvalidPathInfo", |path| {
        let hash = path.hash();
        vec![
            json!(""),
            json!(TestPath::small("b").hash()),
            json!(hash.to_uppercase()),
            json!(&hash[..31]),
            json!(format!("{hash}\n")),
            json!("../../../../../../../etc/passwd0"),
        ]
    })
    .await;
}

#[tokio::test]
async fn references_are_base_names() {
    refused("references", "400 InvalidPathInfo", |path| {
        let base = path.info.path.to_string();
        let bad = |reference: String| json!([base, reference]);
        vec![
            bad(String::new()),
            bad(format!("/nix/store/{base}")),
            bad("..".to_owned()),
            bad(format!("{base} {base}")),
            bad(format!("{base}\nDeriver: {base}")),
            bad(format!("{base}\n")),
            bad(format!("{base}/x")),
            bad("glibc".to_owned()),
        ]
    })
    .await;
}

#[tokio::test]
async fn a_deriver_is_a_store_path() {
    refused("deriver", "400 InvalidPathInfo", |path| {
        let base = path.info.path.to_string();
        vec![
            json!(""),
            json!("/etc/passwd"),
            json!(format!("{base}.drv\n")),
            json!(format!("{base}.drv\nSig: evil:{}", "A".repeat(86))),
            json!(format!("/gnu/store/{base}.drv")),
            json!("x.drv"),
        ]
    })
    .await;
}

#[tokio::test]
async fn signatures_are_well_formed() {
    refused("sigs", "400 InvalidPathInfo", |_| {
        let good = format!("key-1:{}==", "A".repeat(86));
        vec![
            json!([""]),
            json!(["key-1"]),
            json!(["key-1:"]),
            json!([":AAAA"]),
            json!(["key-1:AAAA"]),
            json!(["key-1:?"]),
            json!([good, format!("{good}\nCA: x")]),
            json!([format!("key\n-1:{}==", "A".repeat(86))]),
            json!([format!("{good} ")]),
        ]
    })
    .await;
}

#[tokio::test]
async fn a_content_address_is_well_formed() {
    refused("ca", "400 InvalidPathInfo", |path| {
        let hash = path.info.nar_hash.nix32();
        vec![
            json!("x"),
            json!("fixed:r:sha256"),
            json!("fixed:r:sha256:"),
            json!(format!("fixed:r:sha257:{hash}")),
            json!(format!("fixed:x:sha256:{hash}")),
            json!(format!("fixed:r:sha256:{hash}\n")),
            json!(format!("fixed:r:sha256:{hash}\nSig: a:b")),
            json!(format!(" fixed:r:sha256:{hash}")),
        ]
    })
    .await;
}

#[tokio::test]
async fn a_nar_hash_is_sha_256() {
    refused("nar_hash", "400 InvalidPathInfo", |path| {
        let hex = path.info.nar_hash.hex();
        vec![
            json!(""),
            json!("sha256:"),
            json!(hex),
            json!(format!("sha256:{}", &hex[1..])),
            json!(format!("sha256:{hex}0")),
            json!(format!("sha256:{hex}\n")),
            json!(format!("sha512:{hex}{hex}")),
            json!(format!("md5:{}", &hex[..32])),
            json!(format!("blake3:{hex}")),
        ]
    })
    .await;
}

#[tokio::test]
async fn a_nar_has_bytes() {
    refused("nar_size", "400 InvalidPathInfo", |_| vec![json!(0)]).await;
}

#[tokio::test]
async fn fields_have_their_types() {
    let world = World::new().await;
    let path = TestPath::small("a");
    for (field, value) in [
        ("nar_size", json!(-1)),
        ("nar_size", json!(1.5)),
        ("nar_size", json!("1")),
        ("nar_size", json!(1e30)),
        ("nar_size", Value::Null),
        ("references", json!("x")),
        ("references", json!([1])),
        ("sigs", json!("x")),
        ("store_path", json!(["x"])),
        ("cache", json!("")),
        ("cache", json!("main\n")),
        ("cache", json!("../main")),
        ("cache", json!("MAIN?")),
        ("cache", json!(1)),
    ] {
        let about = about(&path, |about| about[field] = value.clone());
        let answer = upload(&world.admin, &about, path.nar.clone()).await;
        world.refused(&path, &answer, "400 RequestError", &format!("{field} {value}")).await;
    }
}

/// The one field that is not looked at must not get anywhere.
#[tokio::test]
async fn a_system_is_dropped() {
    let server = Server::new();
    let path = TestPath::small("a");
    let about = about(&path, |about| about["system"] = json!("x86_64-linux\nSig: evil:AAAA"));
    upload(&server.admin(), &about, path.nar.clone()).await.expect(200);
    let text = server.http().get(&format!("/main/{}.narinfo", path.hash())).await.text();
    assert!(!text.contains("x86_64-linux") && !text.contains("evil"), "{text}");
}

#[tokio::test]
async fn a_deriver_is_told_by_its_base_name_or_not_at_all() {
    let server = Server::new();
    let admin = server.admin();
    let drv = format!("{}.drv", TestPath::small("d").info.path);
    for (label, given, expected) in [
        ("base", json!(drv), Some(drv.as_str())),
        ("full", json!(format!("/nix/store/{drv}")), Some(drv.as_str())),
        ("unknown", json!("unknown-deriver"), None),
        ("none", Value::Null, None),
    ] {
        let path = TestPath::small(label);
        upload(&admin, &about(&path, |about| about["deriver"] = given), path.nar.clone()).await.expect(200);
        let served = narinfo(&admin, "main", &path).await.info.deriver.map(|drv| drv.to_string());
        assert_eq!(served.as_deref(), expected, "{label}");
    }
}
