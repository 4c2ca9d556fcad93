//! Who may put what where.

use reqwest::Method;

use super::Put;
use crate::{
    harness::{Server, answer},
    routes::{said::said, world::World},
};

const HASH: &str = "00000000000000000000000000000000";

/// Everything that can be put.
fn urls(cache: &str) -> Vec<String> {
    let drv = format!("{HASH}-x.drv");
    [
        "nix-cache-info".to_owned(),
        format!("{HASH}.narinfo"),
        format!("{HASH}.ls"),
        "nar/0.nar.xz".to_owned(),
        format!("log/{drv}"),
        format!("realisations/sha256:{}!out.doi", "0".repeat(64)),
        format!("build-trace-v2/{drv}/out.doi"),
        format!("debuginfo/{}.debug", "0".repeat(40)),
    ]
    .map(|file| format!("/{cache}/{file}"))
    .into()
}

#[tokio::test]
async fn only_who_may_push_may_put() {
    let mut world = World::new().await;
    world.create_cache("private", false).await;
    let server = &world.server;
    let puller = server.http().with_token(&server.token(&["--pull", "*"]));
    let stranger = server.http().with_token(&server.token(&["--push", "elsewhere"]));
    for (who, cache, expected) in [
        (&server.http(), "main", "401 Unauthorized"),
        (&server.http(), "private", "401 Unauthorized"),
        (&server.http(), "absent", "401 Unauthorized"),
        (&stranger, "main", "403 AccessError"),
        (&stranger, "private", "401 Unauthorized"),
        (&puller, "private", "403 AccessError"),
        (&world.admin, "absent", "404 NoSuchCache"),
    ] {
        for url in urls(cache) {
            let answer = who.put(&url, "StoreDir: /nix/store\n").await;
            assert_eq!(said(&answer), expected, "{url}");
            if expected.starts_with("401") {
                assert_eq!(answer.header("www-authenticate"), "Basic realm=\"nix cache\"");
            }
        }
    }
    world.untouched("refused").await;
}

/// Nix gives no token by any other way than `Basic`, with the token as password.
#[tokio::test]
async fn the_token_comes_as_a_password() {
    let server = Server::new();
    let put = Put::small("a").await;
    let token = server.token(&["--push", "main"]);
    for (login, url, body) in
        [("", put.nar_url("main"), put.file.clone()), ("nix", put.narinfo_url("main"), put.text().into_bytes())]
    {
        let request = server.http().request(Method::PUT, &url).basic_auth(login, Some(&token)).body(body);
        answer(request).await.expect(200);
    }
    server.http().pull_same("main", &put.path, &server.http().public_key("main").await).await;
}

#[tokio::test]
async fn what_is_neither_read_nor_put_is_not_allowed() {
    let world = World::new().await;
    for url in urls("main") {
        for method in [Method::POST, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            let answer = answer(world.admin.request(method.clone(), &url)).await;
            assert_eq!(said(&answer), "405 MethodNotAllowed", "{method} {url}");
            assert_eq!(answer.header("allow"), "GET, HEAD, PUT", "{method} {url}");
        }
    }
    let info = world.admin.put("/main/attic-cache-info", "{}").await;
    assert_eq!((said(&info).as_str(), info.header("allow")), ("405 MethodNotAllowed", "GET, HEAD"));
    world.untouched("other methods").await;
}

/// The client is still sending when it is refused. If the connection were torn down under it, it would see that in place of
/// the answer, and try again.
#[tokio::test]
async fn a_refusal_in_the_middle_of_a_body_arrives() {
    let server = Server::new();
    let put = Put::small("a").await;
    let large = bytes::Bytes::from(vec![b'x'; 20 << 20]);
    for _ in 0..10 {
        assert_eq!(said(&server.http().put(&put.nar_url("main"), large.clone()).await), "401 Unauthorized");
        assert_eq!(said(&server.admin().put(&put.narinfo_url("main"), large.clone()).await), "413 TooLarge");
    }
}
