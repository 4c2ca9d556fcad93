//! Tokens that are signed with an RSA key, which the server need not have.

use std::{fs, path::Path};

use data_encoding::BASE64;

use super::{create_cache, hs256, may};
use crate::harness::Server;

/// Made by `openssl dgst -sha256 -sign`: `team-*` may be pulled from and pushed to, until 2100.
const MADE_BY_OPENSSL: &str = concat!(
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjaSIsImV4cCI6NDEwMjQ0NDgwMCwiaHR0cHM6Ly9qd3QuYXR",
    "0aWMucnMvdjEiOnsiY2FjaGVzIjp7InRlYW0tKiI6eyJyIjoxLCJ3IjoxfX19fQ.szfzhWTeccf8vLrset0PD8sT5DVqgQfn",
    "fpUCgxBgYyMNQksLOuqtZbRSRbVWayza3_D3vgJ_3bW3_yz_mYuPa_zVeOQIZRlJpQSmUjO1iMgUCm9UtFHhuNx9dEnKXbeI",
    "XuFtofntEyxd6plCTbZ-tv39jduQWx8t7BUS1tXBdWtoRrTTLJhI0lAee46SF1ci-mwGv5CXkxbjUsZl4hbNEwbeXz2iztnb",
    "4iYRaxaD8OLZdoHGgFwMSnBtNyFlz-kBd3q8du_3uCIhF_8GKamSfvyf0O_xWqllk3ZMPAdkxgKKaaBlZLuEbLvu_RwsXfoH",
    "nmesXbO88pzKhzNegnv8bg",
);

fn pem(name: &str) -> Vec<u8> {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("server/src/auth/testdata");
    fs::read(keys.join(name)).unwrap()
}

fn server(key: &str, pem: &[u8]) -> Server {
    Server::builder().config(format!("[jwt.signing]\n{key} = \"{}\"\n", BASE64.encode(pem))).start()
}

#[tokio::test]
async fn the_key_makes_and_checks_tokens() {
    let server = server("token-rs256-secret-base64", &pem("rs256-secret-for-tests-only.pem"));
    let admin = server.admin();
    create_cache(&admin, "team-a", false).await;
    create_cache(&admin, "other", false).await;
    let foreign = server.http().with_token(MADE_BY_OPENSSL);
    assert_eq!((may(&foreign, "team-a").await, may(&foreign, "other").await), ("r w".to_owned(), String::new()));
    let own = server.http().with_token(&server.token(&["--pull", "other"]));
    assert_eq!((may(&own, "team-a").await, may(&own, "other").await), (String::new(), "r".to_owned()));
}

#[tokio::test]
async fn the_public_key_checks_tokens_of_whoever_has_the_other() {
    let minting = server("token-rs256-secret-base64", &pem("rs256-secret-for-tests-only.pem"));
    for form in ["rs256-public-pkcs1.pem", "rs256-public-spki.pem"] {
        let server = server("token-rs256-pubkey-base64", &pem(form));
        create_cache(&server.http().with_token(&minting.token(&["--create-cache", "team-a"])), "team-a", false).await;
        assert_eq!(may(&server.http().with_token(MADE_BY_OPENSSL), "team-a").await, "r w", "{form}");
        let (signed, signature) = MADE_BY_OPENSSL.rsplit_once('.').unwrap();
        let turned: String = signature.chars().rev().collect();
        assert_eq!(may(&server.http().with_token(&format!("{signed}.{turned}")), "team-a").await, "", "{form}");
        // What everybody knows must not pass for a shared secret.
        let claims = super::claims(super::FAR, &serde_json::json!({"*": {"r": 1, "w": 1}}));
        for key in [pem(form), BASE64.encode(&pem(form)).into_bytes()] {
            assert_eq!(may(&server.http().with_token(&hs256(&key, &claims)), "team-a").await, "", "{form}");
        }
    }
}
