//! Collection, from outside: what is deleted frees its space, what is needed stays, and nothing in between is to be seen.

mod acts;
mod storm;

use formats::StorePath;
use reqwest::Method;
use serde_json::json;

use crate::{
    harness::{Answer, Node, Seed, Server, TestPath},
    routes::said,
};

/// A path of some files that other paths have too, and some of its own.
fn release(number: u64, references: Vec<StorePath>) -> TestPath {
    let shared: Vec<(String, Node)> = (0..6)
        .map(|file| {
            // A third of the files changes from release to release.
            let age = if file % 3 == 0 { number } else { 0 };
            (format!("shared-{file}"), Node::noise(&mut Seed::new(age, &format!("shared {file}")), 60_000))
        })
        .collect();
    let own = [("own".to_owned(), Node::noise(&mut Seed::new(number, "own"), 150_000))];
    TestPath::new(&format!("release-{number}"), &Node::directory(shared.into_iter().chain(own)))
        .with_references(references)
}

fn gc(server: &Server) -> serde_json::Value {
    let output = server.command().args(["gc", "--grace", "0s", "--no-wait", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn delete(server: &Server, path: &TestPath, how: &str) -> Answer {
    server.admin().delete(&format!("/_flywheel/v1/caches/main/paths/{}{how}", path.hash())).await
}

#[tokio::test]
async fn half_of_the_releases_deleted_takes_as_much_as_the_other_half_alone() {
    let releases: Vec<TestPath> = (1..=10).map(|number| release(number, Vec::new())).collect();
    let (server, fresh) = (Server::new(), Server::new());
    for path in &releases {
        server.admin().upload("main", path).await.expect(200);
    }
    for path in releases.iter().skip(1).step_by(2) {
        fresh.admin().upload("main", path).await.expect(200);
    }
    for path in releases.iter().step_by(2) {
        delete(&server, path, "").await.expect(200);
        let answer = server.http().get(&format!("/main/{}.narinfo", path.hash())).await;
        assert_eq!(said(&answer), "404 NoSuchObject");
    }
    let report = gc(&server);
    assert!(report["chunks_removed"].as_u64() > Some(0) && report["bytes_freed"].as_u64() > Some(0), "{report}");
    let (left, alone) = (server.stored_bytes(), fresh.stored_bytes());
    assert!(left <= alone + alone / 10, "{left} bytes are left, and {alone} are needed: {report}");
    for path in releases.iter().skip(1).step_by(2) {
        let narinfo = server.http().get(&format!("/main/{}.narinfo", path.hash())).await.expect(200).text();
        let url = narinfo.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap().to_owned();
        let file = server.http().get(&format!("/main/{url}")).await.expect(200);
        assert_eq!(zstd::decode_all(&file.body[..]).unwrap(), path.nar);
    }
    assert!(gc(&server).as_object().unwrap().values().all(|number| number == 0), "there is nothing left to do");
}

#[tokio::test]
async fn what_something_needs_is_not_deleted_by_hand() {
    let server = Server::new();
    let library = release(1, Vec::new());
    let program = release(2, vec![library.info.path.clone()]);
    for path in [&library, &program] {
        server.admin().upload("main", path).await.expect(200);
    }
    let refused = delete(&server, &library, "").await;
    assert_eq!(said(&refused), "409 PathInUse");
    assert!(refused.text().contains("release-2"), "{}", refused.text());
    let pin = json!({"store_path": program.info.path.to_string(), "keep_revisions": 1});
    let pinned = server.admin().send_json(Method::PUT, "/_flywheel/v1/caches/main/pins/stable", &pin).await.expect(200);
    assert_eq!(pinned.json()["revision"], 1);
    assert_eq!(said(&delete(&server, &library, "?referrers=true").await), "409 PathInUse");
    let explained = server.admin().get(&format!("/_flywheel/v1/caches/main/paths/{}/explain", library.hash())).await;
    let explained = explained.expect(200).json();
    let chain = [program.info.path.to_string(), library.info.path.to_string()];
    assert_eq!(explained["reasons"][0]["chain"], json!(chain), "{explained}");

    server.admin().delete("/_flywheel/v1/caches/main/pins/stable").await.expect(200);
    let dry = delete(&server, &library, "?referrers=true&dry-run=true").await.expect(200).json();
    assert_eq!(dry["paths"], json!(chain), "referrers first");
    delete(&server, &library, "?referrers=true").await.expect(200);
    for path in [&library, &program] {
        let answer = server.http().get(&format!("/main/{}.narinfo", path.hash())).await;
        assert_eq!(said(&answer), "404 NoSuchObject");
    }
}

#[tokio::test]
async fn a_cache_that_is_read_only_or_full_says_so() {
    let server = Server::new();
    let (kept, other) = (release(1, Vec::new()), release(2, Vec::new()));
    server.admin().upload("main", &kept).await.expect(200);
    let limits = "/_flywheel/v1/caches/main/limits";
    let admin = server.admin();
    admin.send_json(Method::PATCH, limits, &json!({"read_only": true})).await.expect(200);
    assert_eq!(said(&admin.upload("main", &other).await), "403 ReadOnly");
    assert_eq!(said(&admin.put(&format!("/main/{}.narinfo", other.hash()), "x").await), "403 ReadOnly");
    let pushed = admin.request(Method::POST, "/_flywheel/v1/caches/main/push").body("").send().await.unwrap();
    assert_eq!(pushed.status(), 403);
    server.http().get(&format!("/main/{}.narinfo", kept.hash())).await.expect(200);

    admin.send_json(Method::PATCH, limits, &json!({"read_only": false, "quota": 1000})).await.expect(200);
    assert_eq!(said(&admin.upload("main", &other).await), "403 QuotaExceeded");
    admin.send_json(Method::PATCH, limits, &json!({"quota": 0})).await.expect(200);
    admin.upload("main", &other).await.expect(200);
}
