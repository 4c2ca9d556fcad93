//! `GET /{cache}/realisations/…` (Nix 2.4 to 2.34) and `/{cache}/build-trace-v2/…` (2.35 and later)

use super::super::said::said;
use crate::harness::Server;

const HASH: &str = "0c5b8vw40dy178xlpddw65q9gf1h2186";

#[tokio::test]
async fn the_exclamation_mark_may_be_escaped() {
    let server = Server::new();
    let drv = "ab".repeat(32);
    let body =
        format!(r#"{{"dependentRealisations":{{}},"id":"sha256:{drv}!out","outPath":"{HASH}-x","signatures":[]}}"#);
    server.admin().put(&format!("/main/realisations/sha256:{drv}!out.doi"), body.clone()).await.expect(200);
    for spelled in [format!("sha256:{drv}!out"), format!("sha256:{drv}%21out"), format!("sha256%3A{drv}%21out")] {
        let answer = server.http().get(&format!("/main/realisations/{spelled}.doi")).await.expect(200);
        assert_eq!((answer.text(), answer.header("content-type")), (body.clone(), "application/json"));
    }
    for absent in [format!("sha256:{drv}!dev"), format!("sha256:{}!out", "ac".repeat(32))] {
        assert_eq!(said(&server.http().get(&format!("/main/realisations/{absent}.doi")).await), "404 NoSuchObject");
    }
}

#[tokio::test]
async fn a_build_trace_is_found_by_derivation_and_output() {
    let server = Server::new();
    let url = |drv: &str, output: &str| format!("/main/build-trace-v2/{HASH}-{drv}.drv/{output}.doi");
    let body = format!(r#"{{"outPath":"{HASH}-x","signatures":[]}}"#);
    server.admin().put(&url("c++", "out"), body.clone()).await.expect(200);
    assert_eq!(server.http().get(&url("c%2B%2B", "out")).await.expect(200).text(), body);
    assert_eq!(said(&server.http().get(&url("c++", "dev")).await), "404 NoSuchObject");
}

#[tokio::test]
async fn what_names_no_output_is_nothing() {
    let server = Server::new();
    let drv = "ab".repeat(32);
    for bad in [
        format!("realisations/{drv}!out.doi"),
        format!("realisations/sha256:{}!out.doi", &drv[1..]),
        format!("realisations/sha256:{}!out.doi", "zz".repeat(32)),
        format!("realisations/sha256:{drv}!.doi"),
        format!("realisations/sha256:{drv}!a%2Fb.doi"),
        format!("realisations/sha256:{drv}!%00.doi"),
        format!("realisations/sha256:{drv}!out"),
        format!("realisations/sha256:{drv}!%2521out.doi"),
        format!("build-trace-v2/{HASH}-x.drv/.doi"),
        format!("build-trace-v2/{HASH}-x.drv/%2e%2e%2fx.doi"),
        "build-trace-v2/x.drv/out.doi".to_owned(),
    ] {
        assert_eq!(said(&server.http().get(&format!("/main/{bad}")).await), "404 NotFound", "{bad}");
        assert_eq!(said(&server.admin().put(&format!("/main/{bad}"), "{}").await), "404 NotFound", "{bad}");
    }
}
