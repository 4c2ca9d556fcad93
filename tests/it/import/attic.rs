//! A deployment of Attic moves in.

use std::{collections::BTreeMap, fs};

use bucket::{ACCESS_KEY_ID, BUCKET, Fault, Garage, REGION, SECRET_ACCESS_KEY, Service};
use formats::{Compression, SecretKey};

use super::{
    attic_fixture::{AtticFixture, Chunks, Object},
    run, said,
};
use crate::harness::{
    Server, TestPath,
    nix::{Closure, NixClient, clients},
};

const COMPRESSIONS: [Compression; 4] = [Compression::None, Compression::Zstd, Compression::Xz, Compression::Brotli];

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn caches_keys_and_paths_move_in() {
    for client in clients() {
        let server = Server::new();
        let attic = AtticFixture::new(&server.scratch().join("attic")).await;
        move_in(server, &client, attic, None, || ()).await;
    }
}

#[tokio::test]
async fn a_deployment_in_a_bucket_moves_in() {
    for client in clients().into_iter().take(1) {
        let server = Server::new();
        let folder = server.scratch().join("attic");
        let service = Service::start(folder.join("service"));
        let attic = AtticFixture::with(&folder, Chunks::bucket(service.endpoint()).await).await;
        move_in(server, &client, attic, None, || disturb(&service)).await;
    }
}

/// A service that fails now and then, and with one object for so long that the request for it gives up.
fn disturb(service: &Service) {
    let mut unlucky = (None, 0);
    service.disturb(move |asked| {
        let (path, times) = &mut unlucky;
        if asked.path.ends_with(".chunk") && path.get_or_insert_with(|| asked.path.to_owned()) == asked.path {
            *times += 1;
            return (*times <= 8).then_some(Fault::Answer(503, "SlowDown"));
        }
        match asked.number % 11 {
            3 => Some(Fault::Answer(503, "SlowDown")),
            7 => Some(Fault::Refuse),
            _ => None,
        }
    });
}

#[tokio::test]
async fn a_deployment_on_postgres_and_garage_moves_in() {
    let Some(program) = Garage::program() else {
        eprintln!("left out: GARAGE names no program");
        return;
    };
    for client in clients().into_iter().take(1) {
        let garage = Garage::start(&program, 1);
        let server = Server::new();
        let database = scratch::Database::new();
        let folder = server.scratch().join("attic");
        let attic = AtticFixture::with(&folder, Chunks::bucket(garage.endpoint(0)).await).await;
        move_in(server, &client, attic, Some(&database), || ()).await;
    }
}

/// Nothing but arguments, and the key in files.
#[tokio::test]
async fn a_bucket_can_be_said_without_a_file() {
    let mut server = Server::new();
    assert!(server.terminate().success());
    let folder = server.scratch().join("attic");
    let service = Service::start(folder.join("service"));
    let database = scratch::Database::new();
    let mut attic = AtticFixture::with(&folder, Chunks::bucket(service.endpoint()).await).await;
    let team = attic.cache("team", &SecretKey::generate("team".parse().unwrap(), [1; 32]), true, false).await;
    let path = TestPath::small("a");
    let nar = attic.nar(&path.nar, Compression::Zstd, 500, "V").await;
    attic.object(team, &Object { path: &format!("/nix/store/{}", path.info.path), references: &[], nar }).await;
    attic.move_to(&database).await;
    let (id, secret) = (folder.join("id"), folder.join("secret"));
    fs::write(&id, format!("{ACCESS_KEY_ID}\n")).unwrap();
    fs::write(&secret, "another").unwrap();
    let storage = format!("s3://{BUCKET}?region={REGION}&endpoint={}", service.endpoint());
    let url = database.url();
    let mut arguments = vec!["import-attic", "--database", &url, "--storage", &storage];
    arguments.extend([
        "--access-key-id-file",
        id.to_str().unwrap(),
        "--secret-access-key-file",
        secret.to_str().unwrap(),
    ]);

    let refused = server.command().args(&arguments).output().unwrap();
    let told = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("the bucket {BUCKET} cannot be read")) && told.contains("hint: "), "{told}");

    fs::write(&secret, format!("{SECRET_ACCESS_KEY}\n")).unwrap();
    let (code, reports) = run(&server, &arguments);
    assert_eq!((code, &reports[0]["paths"]["imported"]), (0, &1.into()), "{reports:#}");
}

/// What is good arrives, with keys that clients trust already; what is bad is listed and refused; and nothing over there changes.
async fn move_in(
    mut server: Server,
    client: &NixClient,
    mut attic: AtticFixture,
    moved_to: Option<&scratch::Database>,
    begin: impl FnOnce(),
) {
    assert!(server.terminate().success());
    let nix = client.at_home(&server, &[]);
    let closure = Closure::build(&nix);

    let old_key = SecretKey::generate("team".parse().unwrap(), [1; 32]);
    let team = attic.cache("team", &old_key, true, false).await;
    let private_key = SecretKey::generate("private".parse().unwrap(), [2; 32]);
    let private = attic.cache("private", &private_key, false, false).await;
    let gone = attic.cache("gone", &SecretKey::generate("gone".parse().unwrap(), [3; 32]), true, true).await;

    // Each path in another compression, as one chunk or as many.
    for (number, path) in closure.paths.iter().enumerate() {
        let nar = nix.output(&["nix-store", "--dump", path]).stdout;
        let references = nix.ok(&["nix-store", "--query", "--references", path]);
        let references: Vec<String> = references.lines().map(base_name).collect();
        let chunk_bytes = if number % 2 == 0 { usize::MAX } else { 100 + nar.len() / 7 };
        let nar = attic.nar(&nar, COMPRESSIONS[number % 4], chunk_bytes, "V").await;
        let object = Object { path, references: &references, nar };
        attic.object(team, &object).await;
        attic.object(private, &object).await;
    }

    let mut expected = BTreeMap::new();
    let mut bad = async |attic: &mut AtticFixture, name: &str, state: &str, why: &'static str| {
        let path = TestPath::small(name);
        let nar = attic.nar(&path.nar, Compression::Zstd, 500, state).await;
        let store_path = format!("/nix/store/{}", path.info.path);
        attic.object(team, &Object { path: &store_path, references: &[], nar }).await;
        expected.insert(path.info.path.to_string(), why);
        nar
    };
    bad(&mut attic, "stuck", "P", "never ended").await;
    let wrong = bad(&mut attic, "wrong-bytes", "V", "hash").await;
    let names = attic.names(wrong).await;
    let other = attic.chunks().read(&names[0]).await;
    attic.chunks().write(&names[1], other).await;
    let cut = bad(&mut attic, "cut-file", "V", "cut off").await;
    let name = attic.names(cut).await.remove(0);
    let whole = attic.chunks().read(&name).await;
    attic.chunks().write(&name, whole[..20].to_vec()).await;
    let lost = bad(&mut attic, "lost-file", "V", "not there").await;
    let name = attic.names(lost).await.remove(0);
    attic.chunks().remove(&name).await;
    let unlinked = bad(&mut attic, "lost-chunk", "V", "missing").await;
    attic.execute("UPDATE chunkref SET chunk_id = NULL WHERE nar_id = $1 AND seq = 1", unlinked).await;
    let short = bad(&mut attic, "lost-row", "V", "chunks has").await;
    attic.execute("DELETE FROM chunkref WHERE nar_id = $1 AND seq = 0", short).await;
    let passwd = TestPath::small("passwd");
    let nar = attic.nar(&passwd.nar, Compression::None, usize::MAX, "V").await;
    attic.object(team, &Object { path: "/etc/passwd", references: &[], nar }).await;
    let hidden = TestPath::small("hidden");
    let nar = attic.nar(&hidden.nar, Compression::None, usize::MAX, "V").await;
    let path = format!("/nix/store/{}", hidden.info.path);
    attic.object(gone, &Object { path: &path, references: &[], nar }).await;
    if let Some(database) = moved_to {
        attic.move_to(database).await;
    }
    let config = attic.config();
    let deployment = attic.close().await;
    let before = deployment.contents().await;
    begin();

    let (code, reports) = run(&server, &["import-attic", &config]);
    assert_eq!(code, 1, "{reports:#}");
    let report = |name: &str| reports.as_array().unwrap().iter().find(|report| report["cache"] == name).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 2, "{reports:#}");
    assert_eq!(report("team")["paths"]["imported"], closure.paths.len(), "{reports:#}");
    assert_eq!(report("private")["paths"]["imported"], closure.paths.len(), "{reports:#}");
    let failed: Vec<_> = report("team")["paths"]["failed"].as_array().unwrap().clone();
    assert_eq!(failed.len(), expected.len() + 1, "{failed:#?}");
    for (path, why) in &expected {
        let told = failed.iter().find(|failed| {
            failed["path"] == path.as_str() || failed["path"].as_str().unwrap().ends_with(path.as_str())
        });
        let told = told.unwrap_or_else(|| panic!("{path} has not failed: {failed:#?}"));
        assert!(told["why"].as_str().unwrap().contains(why), "{told}");
    }
    assert!(failed.iter().any(|failed| failed["path"] == "/etc/passwd"), "{failed:#?}");
    assert_eq!(deployment.contents().await, before);

    // Once more: nothing but the bad ones is looked at again.
    let (code, again) = run(&server, &["import-attic", &config, "--cache", "team"]);
    assert_eq!(code, 1);
    let paths = &again[0]["paths"];
    assert_eq!((&paths["imported"], &paths["present"]), (&0.into(), &closure.paths.len().into()), "{again:#}");

    // The key that clients trust already.
    server.restart();
    let key = server.http().public_key("team").await;
    assert_eq!(key.to_string(), old_key.public_key().to_string());
    let shown = server.admin().get("/_api/v1/cache-config/private").await.expect(200).json();
    assert_eq!(shown["is_public"], false);
    assert_eq!(shown["priority"], 37);
    assert_eq!(shown["retention_period"], serde_json::json!({"Period": 2_592_000}));
    server.http().get(&format!("/team/{}.narinfo", hidden.hash())).await.expect(404);
    server.http().get("/gone/nix-cache-info").await.expect(401);

    let nix = client.at_home(&server, &[&format!("trusted-public-keys = {}", old_key.public_key())]);
    let root = nix.place("root");
    nix.ok(&["copy", "--from", &format!("{}/team", server.url()), "--to", &root, &closure.top]);
    closure.assert_valid_in(&nix, &root);
}
