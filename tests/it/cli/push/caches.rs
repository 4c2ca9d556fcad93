//! `cache create`, `configure`, `info` and `destroy`

use insta::assert_snapshot;

use crate::{cli::lab::Lab, harness::Server};

/// A home from which the server is reached without a login, as on CI's machines.
async fn lab(server: &Server) -> Lab {
    Lab::at(server).await.env("ATTIC_SERVER", &server.url()).env("ATTIC_TOKEN", &server.admin_token())
}

/// Scripts look for `Public Key:` at the beginning of a line, and create the cache if this fails.
#[tokio::test]
async fn a_cache_is_described() {
    let server = Server::new();
    let lab = lab(&server).await;
    assert_snapshot!(lab.client(&["cache", "info", "main"]), @"
    exit 0
    > Public: true
    > Public Key: main:KEY
    > Binary Cache Endpoint: http://SERVER/main
    > API Endpoint: http://SERVER/
    > Store Directory: /nix/store
    > Priority: 41
    > Upstream Cache Keys:
    > Retention Period: as the server's default
    ");
    assert_snapshot!(lab.client(&["cache", "info", "main", "--json"]), @r#"
    exit 0
    > {"substituter_endpoint":"http://SERVER/main","api_endpoint":"http://SERVER/","public_key":"main:KEY","is_public":true,"store_dir":"/nix/store","priority":41,"upstream_cache_key_names":[],"retention_period":"Global"}
    "#);
    assert_snapshot!(lab.client(&["cache", "info", "absent"]), @"
    exit 1
    error: absent on http://SERVER/: The requested cache does not exist. (NoSuchCache, status 404)
    hint: create it with `cache create`
    ");
}

#[tokio::test]
async fn a_cache_is_created_changed_and_destroyed() {
    let server = Server::new();
    let lab = lab(&server).await;
    assert_snapshot!(lab.client(&["cache", "create", "ci", "--public", "--priority", "30"]), @"
    exit 0
    created ci on http://SERVER/
    ");
    let key = server.http().public_key("ci").await.to_string();
    let lab = lab.knows(&key, "ci:KEY");
    assert_snapshot!(lab.client(&["cache", "create", "ci"]), @"
    exit 1
    error: ci on http://SERVER/: The cache already exists. (CacheAlreadyExists, status 409)
    hint: change it with `cache configure`
    ");
    assert_snapshot!(lab.client(&["cache", "configure", "ci", "--private", "--retention-period", "30 days"]), @"
    exit 0
    configured ci on http://SERVER/
    ");
    assert_snapshot!(lab.client(&["cache", "info", "ci"]), @"
    exit 0
    > Public: false
    > Public Key: ci:KEY
    > Binary Cache Endpoint: http://SERVER/ci
    > API Endpoint: http://SERVER/
    > Store Directory: /nix/store
    > Priority: 30
    > Upstream Cache Keys: cache.nixos.org-1
    > Retention Period: 30days
    ");
    assert_snapshot!(lab.client(&["cache", "configure", "ci"]), @"
    exit 2
    error: nothing to change
    hint: see --help for what can be
    ");
    assert_snapshot!(lab.client(&["cache", "destroy", "ci"]), @"
    exit 2
    error: destroying a cache has to be confirmed
    hint: give --no-confirm where nobody can be asked
    ");
    assert_snapshot!(lab.client(&["cache", "destroy", "ci", "--no-confirm"]), @"
    exit 0
    destroyed ci on http://SERVER/
    ");
    assert_snapshot!(lab.client(&["cache", "destroy", "ci", "--no-confirm"]), @"
    exit 1
    error: ci on http://SERVER/: The requested cache does not exist. (NoSuchCache, status 404)
    hint: create it with `cache create`
    ");
}

#[tokio::test]
async fn a_key_can_be_brought_along() {
    let server = Server::new();
    let lab = lab(&server).await;
    let secret = formats::SecretKey::generate("mine-1".parse().unwrap(), [9; 32]);
    let file = lab.file("key", &format!("{}\n", secret.to_text()));
    assert!(lab.client(&["cache", "create", "c", "--keypair-path", &file]).starts_with("exit 0\n"));
    assert_eq!(server.admin().public_key("c").await, secret.public_key());

    let no_key = lab.file("no-key", "hush hush\n");
    let said = lab.client(&["cache", "configure", "c", "--keypair-path", &no_key]);
    assert!(!said.contains("hush"), "{said}");
    assert_snapshot!(said, @"
    exit 2
    error: HOME/no-key is no secret key: a key is written name:base64
    ");
    assert_eq!(server.admin().public_key("c").await, secret.public_key());
    lab.client(&["cache", "configure", "c", "--regenerate-keypair"]);
    assert_ne!(server.admin().public_key("c").await, secret.public_key());
}
