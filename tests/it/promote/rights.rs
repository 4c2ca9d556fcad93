//! Who may do what, without any Nix.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Http, Server};

const CACHE: &str = "/_flywheel/v1/caches/main";
const DRV: &str = "n4v78swflixxl6s06k2hi3lxlj1z0976-leaf-1.0.drv";
const OUT: &str = "9vcwwbaaw0mcp76q8y04rm96913rkbd4-leaf-1.0";

fn with(server: &Server, token: &[&str]) -> Http {
    server.http().with_token(&server.token(&[&["--sub", "somebody"], token].concat()))
}

fn claim() -> serde_json::Value {
    let nar_hash = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    json!({
        "system": "x86_64-linux",
        "derivation": DRV,
        "outputs": { "out": { "path": OUT, "nar_hash": nar_hash } },
    })
}

#[tokio::test]
async fn claims_need_push_tags_need_promote_and_books_need_a_token() {
    let server = Server::new();
    let (pull, push) = (with(&server, &["--pull", "main"]), with(&server, &["--push", "main"]));
    let promote = with(&server, &["--promote", "main"]);
    let claims = format!("{CACHE}/claims");
    server.http().send_json(Method::POST, &claims, &claim()).await.expect(401);
    pull.send_json(Method::POST, &claims, &claim()).await.expect(403);
    promote.send_json(Method::POST, &claims, &claim()).await.expect(403);
    let filed = push.send_json(Method::POST, &claims, &claim()).await.expect(202).json();
    assert_eq!(filed["builder"]["subject"], "somebody");
    let again = push.send_json(Method::POST, &claims, &claim()).await.expect(200).json();
    assert_eq!(again["id"], filed["id"]);

    // The cache is public; its books are not.
    server.http().get(&claims).await.expect(401);
    with(&server, &["--pull", "other"]).get(&claims).await.expect(403);
    assert_eq!(pull.get(&claims).await.expect(200).json().as_array().unwrap().len(), 1);

    let tag = format!("{CACHE}/tags/stable");
    let wanted = json!({ "claims": [filed["id"]], "kind": "channel", "visibility": "internal", "expected": 0 });
    for other in [&pull, &push, &server.admin()] {
        other.send_json(Method::PUT, &tag, &wanted).await.expect(403);
    }
    let refused = promote.send_json(Method::PUT, &tag, &wanted).await.expect(422).json();
    assert_eq!(refused["error"], "NotClean");
    for (bad, code) in [
        (json!({ "claims": [], "kind": "channel", "visibility": "internal", "expected": 0 }), 400),
        (json!({ "claims": [99], "kind": "channel", "visibility": "internal", "expected": 0 }), 400),
        (json!({ "claims": [1], "kind": "channel", "visibility": "everywhere", "expected": 0 }), 400),
        (json!({}), 400),
    ] {
        promote.send_json(Method::PUT, &tag, &bad).await.expect(code);
    }
    promote.get(&tag).await.expect(404);
    promote.get(&format!("{CACHE}/tags/a@b")).await.expect(400);
    let id = filed["id"].as_i64().unwrap();
    let why = json!({ "reason": "a mistake" });
    let withdraw = format!("{CACHE}/claims/{id}/withdraw");
    let stranger = server.http().with_token(&server.token(&["--sub", "another", "--push", "main"]));
    stranger.send_json(Method::POST, &withdraw, &why).await.expect(403);
    push.send_json(Method::POST, &withdraw, &json!({ "reason": "" })).await.expect(400);
    push.send_json(Method::POST, &withdraw, &why).await.expect(204);
    push.send_json(Method::POST, &withdraw, &why).await.expect(422);
    push.send_json(Method::POST, &format!("{CACHE}/claims/{id}/revoke"), &why).await.expect(403);
    pull.get(&format!("{CACHE}/claims/99")).await.expect(404);
}

#[tokio::test]
async fn claims_make_sense() {
    let server = Server::new();
    let push = with(&server, &["--push", "main"]);
    let claims = format!("{CACHE}/claims");
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut claim = claim();
        change(&mut claim);
        claim
    };
    push.send_json(Method::POST, &claims, &changed(&|c| c["outputs"] = json!({}))).await.expect(422);
    push.send_json(Method::POST, &claims, &changed(&|c| c["derivation"] = json!(OUT))).await.expect(422);
    push.send_json(Method::POST, &claims, &changed(&|c| c["derivation"] = json!("x"))).await.expect(400);
    push.send_json(Method::POST, &claims, &changed(&|c| c["builder"] = json!("me"))).await.expect(400);
    push.send_json(Method::POST, &claims, &json!([])).await.expect(400);
}

#[tokio::test]
async fn evidence_is_what_its_name_says() {
    let server = Server::new();
    let push = with(&server, &["--push", "main"]);
    let bytes = include_bytes!("../../../formats/tests/data/derivations/n4v78swflixxl6s06k2hi3lxlj1z0976-leaf-1.0.drv");
    let body = |name: &str, bytes: &[u8]| [format!("{name} {}\n", bytes.len()).as_bytes(), bytes].concat();
    let evidence = format!("{CACHE}/evidence");
    let send = |body: Vec<u8>| {
        let request = push.request(Method::POST, &evidence).body(body);
        crate::harness::answer(request)
    };
    let missing = json!({ "derivations": [DRV] });
    let ask = format!("{CACHE}/evidence/missing");
    assert_eq!(push.send_json(Method::POST, &ask, &missing).await.expect(200).json(), missing);
    let mut other = bytes.to_vec();
    let at = other.windows(4).position(|four| four == b"echo").unwrap();
    other[at] = b'E';
    let wrong = send(body(DRV, &other)).await.expect(400).json();
    assert_eq!(wrong["error"], "InvalidDerivation");
    send(body(DRV, b"Derive(")).await.expect(400);
    send(body(OUT, bytes)).await.expect(400);
    send(body(DRV, bytes)[..100].to_vec()).await.expect(400);
    assert_eq!(push.send_json(Method::POST, &ask, &missing).await.expect(200).json(), missing);
    assert_eq!(send([body(DRV, bytes), body(DRV, bytes)].concat()).await.expect(200).json()["kept"], 2);
    assert_eq!(push.send_json(Method::POST, &ask, &missing).await.expect(200).json(), json!({ "derivations": [] }));
    with(&server, &["--pull", "main"]).send_json(Method::POST, &ask, &missing).await.expect(403);
    for address in ["", "log/", "evidence/", "derivation/", "nar/"] {
        push.get(&format!("/main/{address}{DRV}")).await.expect(404);
    }
}

#[tokio::test]
async fn keys_are_made_shown_and_rotated() {
    let server = Server::new();
    let address = format!("{CACHE}/promotion-keys");
    let names = |answer: crate::harness::Answer| -> Vec<String> {
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key.as_str().unwrap().split_once(':').unwrap().0.to_owned()).collect()
    };
    let first = server.http().get(&address).await.expect(200);
    assert_eq!(first.body, server.http().get(&address).await.expect(200).body);
    assert_eq!(names(first), ["main-promoted-1"]);
    let rotate = format!("{address}/rotate");
    with(&server, &["--promote", "main"]).send_json(Method::POST, &rotate, &json!({})).await.expect(403);
    let rotated = server.admin().send_json(Method::POST, &rotate, &json!({})).await.expect(200);
    assert_eq!(names(rotated), ["main-promoted-2", "main-promoted-1"]);
    let rotated = server.admin().send_json(Method::POST, &rotate, &json!({})).await.expect(200);
    assert_eq!(names(rotated), ["main-promoted-3", "main-promoted-2"]);
}
