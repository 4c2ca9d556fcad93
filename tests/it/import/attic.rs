//! A deployment of Attic moves in.

use std::{collections::BTreeMap, fs};

use formats::{Compression, SecretKey};

use super::{
    attic_fixture::{AtticFixture, Object},
    run,
};
use crate::harness::{
    Server, TestPath,
    nix::{Closure, clients},
};

const COMPRESSIONS: [Compression; 4] = [Compression::None, Compression::Zstd, Compression::Xz, Compression::Brotli];

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

/// What is good arrives, with keys that clients trust already; what is bad is listed and refused; and nothing over there changes.
#[tokio::test]
async fn caches_keys_and_paths_move_in() {
    for client in clients() {
        let mut server = Server::new();
        assert!(server.terminate().success());
        let nix = client.at_home(&server, &[]);
        let closure = Closure::build(&nix);
        let folder = server.scratch().join("attic");
        let mut attic = AtticFixture::new(&folder).await;

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
        let file = attic.files(wrong).await.remove(1);
        let other = attic.files(wrong).await.remove(0);
        fs::copy(other, file).unwrap();
        let cut = bad(&mut attic, "cut-file", "V", "cut off").await;
        let file = attic.files(cut).await.remove(0);
        fs::write(&file, &fs::read(&file).unwrap()[..20]).unwrap();
        let lost = bad(&mut attic, "lost-file", "V", "not there").await;
        fs::remove_file(attic.files(lost).await.remove(0)).unwrap();
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
        let config = attic.config();
        let deployment = attic.close().await;
        let before = deployment.contents();

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
        assert_eq!(deployment.contents(), before);

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
}
