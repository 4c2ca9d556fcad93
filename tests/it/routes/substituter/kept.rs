//! Answers are kept in memory, and must not be told from those that are not.

use serde_json::json;

use crate::{
    harness::{Server, TestPath},
    routes::{said::said, world::narinfo},
};

/// As an admin beside the running server does it.
fn beside(server: &Server, arguments: &[&str]) -> String {
    let output = server.command().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_path_that_was_missing_is_there_when_its_push_is_answered() {
    let server = Server::new();
    let admin = server.admin();
    for number in 0..20 {
        let path = TestPath::small(&format!("late-{number}"));
        for _ in 0..3 {
            assert_eq!(said(&admin.get(&format!("/main/{}.narinfo", path.hash())).await), "404 NoSuchObject");
        }
        admin.upload("main", &path).await.expect(200);
        assert_eq!(narinfo(&admin, "main", &path).await.info.path, path.info.path);
    }
}

#[tokio::test]
async fn what_another_process_changes_holds_for_the_next_request() {
    let server = Server::new();
    let (admin, anybody) = (server.admin(), server.http());
    let path = TestPath::small("signed");
    admin.upload("main", &path).await.expect(200);
    for number in 1..=5 {
        let before = narinfo(&anybody, "main", &path).await;
        assert_eq!(before.info.signatures.len(), number, "one for each key");
        let etag = anybody.get(&format!("/main/{}.narinfo", path.hash())).await.header("etag").to_owned();
        beside(&server, &["cache", "key", "add", "main"]);
        let after = anybody.get(&format!("/main/{}.narinfo", path.hash())).await.expect(200);
        assert_ne!(after.header("etag"), etag, "a narinfo with another signature is another narinfo");
    }
    let hidden = json!({"is_public": false});
    admin.send_json(reqwest::Method::PATCH, "/_api/v1/cache-config/main", &hidden).await.expect(200);
    assert_eq!(said(&anybody.get(&format!("/main/{}.narinfo", path.hash())).await), "401 Unauthorized");
    narinfo(&admin, "main", &path).await;
}
