//! Tokens that somebody else makes, with the secret that the server has.

use serde_json::{Value, json};

use super::{FAR, PAST, claims, create_cache, hs256, may};
use crate::harness::{Http, Server};

/// Longer than a block of SHA-256, as the deployment's is.
const SECRET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ, and more than a block";

/// A server with the secret, and private caches of these names.
async fn server(caches: &[&str]) -> Server {
    let secret = data_encoding::BASE64.encode(SECRET);
    let server = Server::builder().config(format!("[jwt.signing]\ntoken-hs256-secret-base64 = \"{secret}\"\n")).start();
    for cache in caches {
        create_cache(&bearing(&server, &claims(FAR, &json!({"*": {"cc": 1}}))), cache, false).await;
    }
    server
}

fn bearing(server: &Server, claims: &Value) -> Http {
    server.http().with_token(&hs256(SECRET, claims))
}

#[tokio::test]
async fn each_letter_is_one_permission() {
    let server = server(&["c"]).await;
    for letter in ["r", "w", "cc", "cr", "cq"] {
        let http = bearing(&server, &claims(FAR, &json!({"c": {letter: 1}})));
        // Changing the retention alone needs no other permission.
        assert_eq!(may(&http, "c").await, letter);
    }
    for (flags, expected) in [
        (json!({"r": 1, "w": 1}), "r w"),
        (json!({"r": 1, "w": 0, "cc": 0}), "r"),
        (json!({"r": 0}), ""),
        (json!({}), ""),
        (json!({"d": 1, "cd": 1}), ""),
        (json!({"r": true, "w": false}), "r"),
        (json!({"r": 1, "future": 1}), "r"),
    ] {
        assert_eq!(may(&bearing(&server, &claims(FAR, &json!({"c": flags}))), "c").await, expected, "{flags}");
    }
}

#[tokio::test]
async fn destroying_has_a_letter_of_its_own() {
    let server = server(&["c"]).await;
    let destroy = async |flags: Value| {
        let http = bearing(&server, &claims(FAR, &json!({"c": flags})));
        http.delete("/_api/v1/cache-config/c").await.status.as_u16()
    };
    assert_eq!(destroy(json!({"r": 1, "w": 1, "d": 1, "cc": 1, "cr": 1, "cq": 1})).await, 403);
    assert_eq!(destroy(json!({"cd": 1})).await, 200);
}

#[tokio::test]
async fn the_exact_name_goes_before_the_first_pattern() {
    let server = server(&["team-a", "team-b", "other"]).await;
    // The order of the patterns matters, so this is text and no map.
    let text = format!(
        r#"{{"sub":"ci","exp":{FAR},"https://jwt.attic.rs/v1":{{"caches":{{"team-*":{{"r":1,"w":1}},"*":{{"r":1}},"team-a":{{"cr":1}}}}}}}}"#
    );
    let head = super::BASE64URL_NOPAD.encode(br#"{"alg":"HS256"}"#);
    let signed = format!("{head}.{}", super::BASE64URL_NOPAD.encode(text.as_bytes()));
    let token = format!("{signed}.{}", super::BASE64URL_NOPAD.encode(&super::hmac(SECRET, signed.as_bytes())));
    let http = server.http().with_token(&token);
    assert_eq!(may(&http, "team-a").await, "cr");
    assert_eq!(may(&http, "team-b").await, "r w");
    assert_eq!(may(&http, "other").await, "r");
}

#[tokio::test]
async fn a_token_for_one_cache_is_none_for_another() {
    let server = server(&["c", "cc", "d"]).await;
    let http = bearing(&server, &claims(FAR, &json!({"c": {"r": 1, "w": 1, "cr": 1}})));
    assert_eq!(may(&http, "c").await, "r w cr");
    assert_eq!((may(&http, "cc").await, may(&http, "d").await), (String::new(), String::new()));
}

#[tokio::test]
async fn a_token_has_its_time() {
    let server = server(&["c"]).await;
    let with = |change: fn(&mut Value)| {
        let mut claims = claims(FAR, &json!({"c": {"r": 1}}));
        change(&mut claims);
        bearing(&server, &claims)
    };
    assert_eq!(may(&with(|c| c["nbf"] = json!(PAST)), "c").await, "r");
    assert_eq!(may(&with(|c| c["iat"] = json!(PAST)), "c").await, "r");
    assert_eq!(may(&with(|c| c["exp"] = json!(PAST)), "c").await, "");
    assert_eq!(may(&with(|c| c["exp"] = json!(0)), "c").await, "");
    assert_eq!(may(&with(|c| c["exp"] = json!(-1)), "c").await, "");
    assert_eq!(may(&with(|c| c["nbf"] = json!(FAR - 1)), "c").await, "");
    assert_eq!(may(&with(|c| drop(c.as_object_mut().unwrap().remove("exp"))), "c").await, "", "for ever is too long");
}

#[tokio::test]
async fn claims_that_are_none_grant_nothing() {
    let server = server(&["c"]).await;
    for caches in [
        json!([]),
        json!("*"),
        json!({"c": "r"}),
        json!({"c": ["r"]}),
        json!({"c": {"r": 2}}),
        json!({"c": {"r": "1"}}),
        json!({"c/../d": {"r": 1}}),
        json!({"": {"r": 1}}),
    ] {
        assert_eq!(may(&bearing(&server, &claims(FAR, &caches)), "c").await, "", "{caches}");
    }
    assert_eq!(may(&bearing(&server, &json!({"sub": "ci", "exp": FAR})), "c").await, "");
    assert_eq!(may(&bearing(&server, &json!({"exp": FAR, "https://jwt.attic.rs/v1": {}})), "c").await, "");
}

#[tokio::test]
async fn a_server_can_be_bound_to_an_issuer_and_an_audience() {
    let secret = data_encoding::BASE64.encode(SECRET);
    let server = Server::builder()
        .config(format!(
            "[jwt]\ntoken-bound-issuer = \"https://i\"\ntoken-bound-audiences = [\"here\", \"there\"]\n\
             [jwt.signing]\ntoken-hs256-secret-base64 = \"{secret}\"\n"
        ))
        .start();
    create_cache(&server.admin(), "c", false).await;
    let with = |issuer: Value, audience: Value| {
        let mut claims = claims(FAR, &json!({"c": {"r": 1}}));
        claims["iss"] = issuer;
        claims["aud"] = audience;
        bearing(&server, &claims)
    };
    for (issuer, audience, expected) in [
        (json!("https://i"), json!("here"), "r"),
        (json!("https://i"), json!(["there", "x"]), "r"),
        (json!("https://j"), json!("here"), ""),
        (json!("https://i"), json!("nowhere"), ""),
        (Value::Null, json!("here"), ""),
        (json!("https://i"), Value::Null, ""),
    ] {
        assert_eq!(may(&with(issuer.clone(), audience.clone()), "c").await, expected, "{issuer} {audience}");
    }
}

#[tokio::test]
async fn another_secret_makes_every_token_void() {
    let server = server(&["c"]).await;
    let forged = server.http().with_token(&hs256(b"another secret", &claims(FAR, &json!({"c": {"r": 1}}))));
    assert_eq!(may(&forged, "c").await, "");
    // The key is what the base64 says, not the base64 itself.
    let text = data_encoding::BASE64.encode(SECRET);
    let literal = server.http().with_token(&hs256(text.as_bytes(), &claims(FAR, &json!({"c": {"r": 1}}))));
    assert_eq!(may(&literal, "c").await, "");
}
