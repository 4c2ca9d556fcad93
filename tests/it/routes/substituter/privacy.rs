//! A private cache tells nothing to those who may not pull from it: not what it has, and not that it is.

use reqwest::header;

use super::super::{said::said, world::create_cache};
use crate::harness::{Answer, Http, Server, TestPath};

/// Everything about an answer that can tell something.
fn all_of(mut answer: Answer) -> (u16, header::HeaderMap, bytes::Bytes) {
    answer.headers.remove(header::DATE);
    (answer.status.as_u16(), answer.headers, answer.body)
}

/// URLs in a private cache that has `path`: of what is there, of what is not, and the same of a cache that is not.
fn urls(path: &TestPath, url: &str) -> Vec<String> {
    let absent = TestPath::small("absent").hash();
    let mut urls = Vec::new();
    for cache in ["private", "absent"] {
        let mut files = vec!["nix-cache-info".to_owned(), "attic-cache-info".to_owned(), url.to_owned()];
        for hash in [&path.hash(), &absent] {
            let more = [
                format!("{hash}.narinfo"),
                format!("{hash}.ls"),
                format!("nar/{hash}.nar"),
                format!("log/{hash}-x.drv"),
            ];
            files.extend(more);
        }
        files.push(format!("nar/{}.nar.zst", "0".repeat(52)));
        files.push(format!("realisations/sha256:{}!out.doi", "0".repeat(64)));
        files.push(format!("debuginfo/{}", "0".repeat(40)));
        urls.extend(files.iter().map(|file| format!("/{cache}/{file}")));
    }
    urls
}

async fn world() -> (Server, TestPath, String) {
    let server = Server::new();
    create_cache(&server.admin(), "private", false).await;
    let path = TestPath::small("a");
    server.admin().upload("private", &path).await.expect(200);
    let url = super::super::world::narinfo(&server.admin(), "private", &path).await.url;
    server.admin().put(&format!("/private/log/{}-x.drv", path.hash()), "log").await.expect(200);
    (server, path, url)
}

async fn tells_nothing(http: &Http, urls: &[String]) {
    let first = http.get(&urls[0]).await;
    assert_eq!(said(&first), "401 Unauthorized");
    assert_eq!(first.header("www-authenticate"), "Basic realm=\"nix cache\"");
    assert_eq!(first.header("x-attic-cache-visibility"), "");
    let (expected, head) = (all_of(first), all_of(http.head(&urls[0]).await));
    for url in urls {
        assert_eq!(all_of(http.get(url).await), expected, "{url}");
        assert_eq!(all_of(http.head(url).await), head, "{url}");
    }
}

#[tokio::test]
async fn present_and_absent_look_the_same() {
    let (server, path, url) = world().await;
    let urls = urls(&path, &url);
    tells_nothing(&server.http(), &urls).await;
    let stranger = server.token(&["--pull", "elsewhere", "--push", "elsewhere"]);
    tells_nothing(&server.http().with_token(&stranger), &urls).await;
    tells_nothing(&server.http().with_token("garbage"), &urls).await;
}

#[tokio::test]
async fn whoever_may_pull_sees_everything() {
    let (server, path, url) = world().await;
    let reader = server.http().with_token(&server.token(&["--pull", "private"]));
    let hash = path.hash();
    for file in [
        "nix-cache-info",
        "attic-cache-info",
        &url,
        &format!("{hash}.narinfo"),
        &format!("{hash}.ls"),
        &format!("log/{hash}-x.drv"),
    ] {
        let answer = reader.get(&format!("/private/{file}")).await.expect(200);
        let kept = answer.header("cache-control");
        assert!(!kept.contains("public"), "nobody else may keep it: {file} {kept}");
        assert_eq!(answer.header("x-attic-cache-visibility"), "", "{file}");
    }
    assert_eq!(said(&reader.get("/private/00000000000000000000000000000000.narinfo").await), "404 NoSuchObject");
    assert_eq!(said(&reader.get("/absent/nix-cache-info").await), "401 Unauthorized");
}

/// The permission to push is none to pull; but its bearer knows the cache.
#[tokio::test]
async fn whoever_may_only_push_reads_nothing() {
    let (server, path, url) = world().await;
    let pusher = server.http().with_token(&server.token(&["--push", "private"]));
    for url in urls(&path, &url).iter().filter(|url| url.starts_with("/private/")) {
        assert_eq!(said(&pusher.get(url).await), "403 AccessError", "{url}");
    }
}

#[tokio::test]
async fn a_cache_that_turns_private_stops_at_once() {
    let server = Server::new();
    let path = TestPath::small("a");
    server.admin().upload("main", &path).await.expect(200);
    let narinfo = format!("/main/{}.narinfo", path.hash());
    server.http().get(&narinfo).await.expect(200);
    let change = serde_json::json!({"is_public": false});
    server.admin().send_json(reqwest::Method::PATCH, "/_api/v1/cache-config/main", &change).await.expect(200);
    assert_eq!(said(&server.http().get(&narinfo).await), "401 Unauthorized");
    assert_eq!(said(&server.http().get(&format!("/{}.narinfo", path.hash())).await), "401 Unauthorized");
}
