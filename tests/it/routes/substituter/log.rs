//! `GET /{cache}/log/{drv}`
//!
//! Nix escapes these names differently from version to version, and `?` never.

use super::super::said::said;
use crate::harness::Server;

const HASH: &str = "0c5b8vw40dy178xlpddw65q9gf1h2186";

#[tokio::test]
async fn a_name_is_found_however_it_is_escaped() {
    let server = Server::new();
    for (name, spellings) in [
        ("gcc++-1.0", &["gcc++-1.0", "gcc%2B%2B-1.0", "gcc+%2b-1.0"][..]),
        ("what?", &["what?", "what%3F", "what%3f"]),
        ("a?b=c", &["a?b=c", "a%3Fb=c", "a?b%3Dc"]),
        ("x=1", &["x=1", "x%3D1"]),
        ("_-.x", &["_-.x", "%5F%2D%2Ex"]),
    ] {
        for put in spellings {
            let log = format!("built {name} as {put}\n");
            server.admin().put(&format!("/main/log/{HASH}-{put}.drv"), log.clone()).await.expect(200);
            for get in spellings {
                let answer = server.http().get(&format!("/main/log/{HASH}-{get}.drv")).await;
                assert_eq!((said(&answer), answer.text()), ("200".to_owned(), log.clone()), "{put} {get}");
            }
        }
    }
}

#[tokio::test]
async fn names_are_not_mixed_up() {
    let server = Server::new();
    server.admin().put(&format!("/main/log/{HASH}-a.drv"), "a").await.expect(200);
    for other in ["a", "a.drv.drv", "a+.drv", "A.drv", "a%2B.drv"] {
        assert_eq!(said(&server.http().get(&format!("/main/log/{HASH}-{other}")).await), "404 NoSuchObject", "{other}");
    }
    // What is escaped twice is no name.
    assert_eq!(said(&server.http().get(&format!("/main/log/{HASH}-a%252B.drv")).await), "404 NotFound");
    // A query that belongs to no name is none of the name's business.
    assert_eq!(server.http().get(&format!("/main/log/{HASH}-a.drv?x y")).await.expect(200).text(), "a");
}

#[tokio::test]
async fn what_is_no_derivation_has_no_log() {
    let server = Server::new();
    for name in ["", "x.drv", "%2e%2e", "..%2fx", HASH, &format!("{HASH}-a b.drv"), &format!("aa/{HASH}-x.drv")] {
        let url = format!("/main/log/{name}");
        assert_eq!(said(&server.http().get(&url).await), "404 NotFound", "{name}");
        assert_eq!(said(&server.admin().put(&url, "x").await), "404 NotFound", "{name}");
    }
}
