//! The default cache at the root of the server.

use super::super::said::said;
use crate::{
    harness::{Server, TestPath},
    routes::world::create_cache,
};

#[tokio::test]
async fn the_root_is_a_substituter() {
    let server = Server::new();
    let path = TestPath::small("a");
    server.admin().upload("main", &path).await.expect(200);
    let anybody = server.http();
    assert_eq!(
        anybody.get("/nix-cache-info").await.expect(200).text(),
        "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n"
    );
    let file = format!("{}.narinfo", path.hash());
    let at_root = anybody.get(&format!("/{file}")).await.expect(200);
    assert_eq!(at_root.body, anybody.get(&format!("/main/{file}")).await.body);
    let url = at_root.text().lines().find_map(|line| line.strip_prefix("URL: ").map(str::to_owned)).unwrap();
    assert_eq!(anybody.get(&format!("/{url}")).await.body, anybody.get(&format!("/main/{url}")).await.body);
    assert_eq!(said(&anybody.get(&format!("/{}.ls", path.hash())).await), "200");
}

/// Scripts probe it before they create the first cache.
#[tokio::test]
async fn its_cache_info_needs_no_cache() {
    let server = Server::builder().config("[flywheel]\ndefault-cache = \"later\"\n").start();
    let info = server.http().get("/nix-cache-info").await.expect(200);
    assert_eq!(info.text(), "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n");
    let narinfo = format!("/{}.narinfo", TestPath::small("a").hash());
    assert_eq!(said(&server.http().get(&narinfo).await), "401 Unauthorized");
    assert_eq!(said(&server.admin().get(&narinfo).await), "404 NoSuchCache");
    create_cache(&server.admin(), "later", true).await;
    assert_eq!(said(&server.http().get(&narinfo).await), "404 NoSuchObject");
}

#[tokio::test]
async fn a_private_default_cache_stays_private() {
    let server = Server::builder().config("[flywheel]\ndefault-cache = \"private\"\n").start();
    let admin = server.admin();
    create_cache(&admin, "private", false).await;
    let path = TestPath::small("a");
    admin.upload("private", &path).await.expect(200);
    let narinfo = format!("/{}.narinfo", path.hash());
    assert_eq!(said(&server.http().get(&narinfo).await), "401 Unauthorized");
    admin.get(&narinfo).await.expect(200);
}

#[tokio::test]
async fn there_need_be_no_default_cache() {
    let server = Server::builder().config("[flywheel]\ndefault-cache = \"\"\n").start();
    for url in ["/nix-cache-info", "/00000000000000000000000000000000.narinfo", "/nar/x.nar"] {
        assert_eq!(said(&server.http().get(url).await), "404 NotFound", "{url}");
    }
}
