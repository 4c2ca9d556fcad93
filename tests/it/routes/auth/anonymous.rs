//! What everybody may do, if the configuration says so.

use super::{create_cache, may, said};
use crate::harness::{Server, TestPath};

#[tokio::test]
async fn everybody_pushes_where_the_configuration_lets_them() {
    let config = "[flywheel.anonymous]\n\"open-*\" = [\"pull\", \"push\"]\nshown = [\"pull\"]\n";
    let server = Server::builder().config(config).start();
    for cache in ["open-a", "shown", "private"] {
        create_cache(&server.admin(), cache, false).await;
    }
    let stranger = server.http();
    for (cache, expected) in [("open-a", "r w"), ("shown", "r"), ("private", ""), ("main", "r")] {
        assert_eq!(may(&stranger, cache).await, expected, "{cache}");
    }
    let path = TestPath::small("a");
    stranger.upload("open-a", &path).await.expect(200);
    assert_eq!(said(&stranger.upload("shown", &path).await), "401 Unauthorized");
    // A bad token is as good as none, and a good one adds to what everybody has.
    assert_eq!(may(&stranger.with_token("garbage"), "open-a").await, "r w");
    let token = server.http().with_token(&server.token(&["--configure-cache", "open-a"]));
    assert_eq!(may(&token, "open-a").await, "r w cr");
    assert_eq!(may(&token, "private").await, "");
    assert!(!server.log().contains("EVERYBODY"), "only this machine can connect");
}

#[tokio::test]
async fn without_it_nothing_is_open_and_with_it_the_start_is_loud() {
    let server = Server::new();
    assert_eq!(said(&server.http().upload("main", &TestPath::small("a")).await), "401 Unauthorized");

    let server =
        Server::builder().config("listen = \"[::]:8080\"\n[flywheel.anonymous]\nmain = [\"push\"]\n").stopped();
    let shown = server.command().arg("check-config").output().unwrap();
    let said = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(
        said.contains("EVERYBODY who can connect to [::]:8080 may change the caches main, without any token"),
        "{said}"
    );
}
