//! Tokens: who is who, and what they may do.

mod acts;
mod anonymous;
mod exchange;
mod hs256;
mod managed;
mod minted;
mod registry;
mod rotation;
mod rs256;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    said::said,
    world::{World, create_cache},
};
use crate::harness::{Http, Server, answer};

/// A far time, and one long past.
const FAR: i64 = 4_102_444_800;
const PAST: i64 = 1_000_000_000;

/// HMAC-SHA-256, after RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

fn segment(json: &Value) -> String {
    BASE64URL_NOPAD.encode(json.to_string().as_bytes())
}

/// A token as the deployment's script makes it, from nothing but the specification.
fn hs256(key: &[u8], claims: &Value) -> String {
    let text = format!("{}.{}", segment(&json!({"alg": "HS256", "typ": "JWT"})), segment(claims));
    format!("{text}.{}", BASE64URL_NOPAD.encode(&hmac(key, text.as_bytes())))
}

/// The claims of Attic's tokens.
fn claims(exp: i64, caches: &Value) -> Value {
    json!({"sub": "ci", "exp": exp, "https://jwt.attic.rs/v1": {"caches": caches}})
}

/// What a caller may do to a cache, in the letters of Attic's claim, found out by trying.
///
/// The cache `name` must be there, and be private; it stays.
async fn may(http: &Http, name: &str) -> String {
    let config = format!("/_api/v1/cache-config/{name}");
    let ask = json!({"cache": name, "store_path_hashes": []});
    let retention = json!({"retention_period": "Global"});
    let tries = [
        ("r", http.get(&format!("/{name}/nix-cache-info")).await, "200"),
        ("w", http.send_json(Method::POST, "/_api/v1/get-missing-paths", &ask).await, "200"),
        ("cc", http.send_json(Method::POST, &config, &json!({})).await, "409 CacheAlreadyExists"),
        ("cr", http.send_json(Method::PATCH, &config, &json!({"priority": 41})).await, "200"),
        ("cq", http.send_json(Method::PATCH, &config, &retention).await, "200"),
    ];
    let mut may = Vec::new();
    for (permission, answer, allowed) in tries {
        let said = said(&answer);
        assert!(said == allowed || said == "403 AccessError" || said == "401 Unauthorized", "{permission}: {said}");
        if said == allowed {
            may.push(permission);
        }
    }
    may.join(" ")
}

#[test]
fn the_hmac_is_that_of_rfc_4231() {
    let hex = |bytes: [u8; 32]| data_encoding::HEXLOWER.encode(&bytes);
    assert_eq!(
        hex(hmac(b"Jefe", b"what do ya want for nothing?")),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert_eq!(
        hex(hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    );
}

#[tokio::test]
async fn a_token_is_given_as_bearer_or_as_password() {
    let server = Server::new();
    create_cache(&server.admin(), "private", false).await;
    let token = server.token(&["--pull", "private"]);
    let basic = |login: &str| format!("Basic {}", BASE64.encode(format!("{login}:{token}").as_bytes()));
    let ask = async |value: &str| {
        let request = server.http().request(Method::GET, "/private/nix-cache-info");
        said(&answer(request.header("authorization", value)).await)
    };
    for good in [
        format!("bearer {token}"),
        format!("Bearer {token}"),
        format!("BEARER  {token}"),
        basic(""),
        basic("nix"),
        basic("me").replace("Basic", "basic"),
    ] {
        assert_eq!(ask(&good).await, "200", "{good}");
    }
    let as_login = format!("Basic {}", BASE64.encode(format!("{token}:").as_bytes()));
    for bad in [token.clone(), format!("token {token}"), format!("Basic {token}"), as_login, "bearer".to_owned()] {
        assert_eq!(ask(&bad).await, "401 Unauthorized", "{bad}");
    }
}

#[tokio::test]
async fn a_bad_token_is_as_good_as_none() {
    let mut world = World::new().await;
    world.create_cache("private", false).await;
    let good = world.server.token(&["--pull", "*", "--push", "*"]);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = head.split_once('.').unwrap();
    let all = json!({"*": {"r": 1, "w": 1, "cc": 1, "cr": 1, "cq": 1, "cd": 1}});
    let none = segment(&json!({"alg": "none", "typ": "JWT"}));
    let mine = segment(&claims(FAR, &all));
    let elsewhere = Server::new();
    for bad in [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        "x".repeat(10_000),
        head.to_owned(),
        format!("{head}."),
        format!("{head}.{}", signature.to_uppercase()),
        format!("{header}.{mine}.{signature}"),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{none}.{mine}."),
        format!("{}.{mine}.", segment(&json!({"alg": "None"}))),
        hs256(b"", &claims(FAR, &all)),
        hs256(b"secret", &claims(FAR, &all)),
        elsewhere.token(&["--admin"]),
    ] {
        let http = world.server.http().with_token(&bad);
        assert_eq!(may(&http, "private").await, "", "{bad}");
        assert_eq!(may(&http, "main").await, "r", "a public cache is pulled from by all: {bad}");
        let upload = http.upload("main", &crate::harness::TestPath::small("a")).await;
        assert_eq!(said(&upload), "401 Unauthorized", "{bad}");
    }
    world.untouched("bad tokens").await;
    assert!(!world.server.log().contains(&good));
}
