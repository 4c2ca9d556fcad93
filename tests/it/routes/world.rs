//! A server that has something, and must not get anything else.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use formats::{NarInfo, StoreDir};
use reqwest::Method;
use serde_json::json;

use super::said::said;
use crate::harness::{Answer, Http, Server, TestPath};

/// A server whose public cache `main` has one path.
pub(crate) struct World {
    pub(crate) server: Server,
    /// May do everything.
    pub(crate) admin: Http,
    /// What is in the cache.
    pub(crate) kept: TestPath,
    stored: Stored,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::of(Server::new()).await
    }

    pub(crate) async fn of(server: Server) -> Self {
        let admin = server.admin();
        let kept = TestPath::small("kept");
        admin.upload("main", &kept).await.expect(200);
        let stored = stored(&server);
        assert!(stored.1.values().any(|&size| size > 0), "the path is somewhere: {stored:?}");
        Self { server, admin, kept, stored }
    }

    /// Makes a cache, which is stored, too.
    pub(crate) async fn create_cache(&mut self, name: &str, is_public: bool) {
        create_cache(&self.admin, name, is_public).await;
        self.stored = stored(&self.server);
    }

    /// Checks that the answer is a refusal with this status and code, that nothing of `path` is to be seen anywhere, that not a
    /// byte more is stored than before, and that the server goes on as if nothing had been.
    pub(crate) async fn refused(&self, path: &TestPath, answer: &Answer, expected: &str, case: &str) {
        assert_eq!(said(answer), expected, "{case}: {}", answer.text());
        self.untouched(case).await;
        assert_eq!(
            said(&self.admin.get(&format!("/main/{}.narinfo", path.hash())).await),
            "404 NoSuchObject",
            "{case}"
        );
        assert_eq!(missing(&self.admin, "main", &[path]).await, [path.hash()], "{case}");
    }

    /// Checks that nothing was stored, and that the server serves what it has.
    pub(crate) async fn untouched(&self, case: &str) {
        assert_eq!(stored(&self.server), self.stored, "{case}");
        assert_eq!(said(&self.admin.get("/livez").await), "200", "{case}");
        assert_eq!(narinfo(&self.admin, "main", &self.kept).await.info.path, self.kept.info.path, "{case}");
    }
}

/// Every file below the storage's folder, and every object.
type Stored = (BTreeMap<PathBuf, u64>, BTreeMap<storage::Key, u64>);

fn stored(server: &Server) -> Stored {
    (files(&server.data_dir()), server.objects())
}

/// The narinfo of a path as a cache serves it, read strictly.
pub(crate) async fn narinfo(http: &Http, cache: &str, path: &TestPath) -> NarInfo {
    let answer = http.get(&format!("/{cache}/{}.narinfo", path.hash())).await.expect(200);
    NarInfo::parse(&StoreDir::default(), &answer.body).unwrap()
}

/// Which of these paths a cache says it lacks.
pub(crate) async fn missing(http: &Http, cache: &str, paths: &[&TestPath]) -> Vec<String> {
    let hashes: Vec<String> = paths.iter().map(|path| path.hash()).collect();
    let ask = json!({"cache": cache, "store_path_hashes": hashes});
    let answer = http.send_json(Method::POST, "/_api/v1/get-missing-paths", &ask).await.expect(200);
    serde_json::from_value(answer.json()["missing_paths"].clone()).unwrap()
}

/// Makes a cache with the settings that `attic cache create` sends.
pub(crate) async fn create_cache(admin: &Http, name: &str, is_public: bool) {
    let config = json!({"keypair": "Generate", "is_public": is_public, "store_dir": "/nix/store", "priority": 41,
        "upstream_cache_key_names": ["cache.nixos.org-1"]});
    admin.send_json(Method::POST, &format!("/_api/v1/cache-config/{name}"), &config).await.expect(200);
}

/// Every stored file with its length. The index is not among them: its length says nothing.
fn files(data: &Path) -> BTreeMap<PathBuf, u64> {
    fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, u64>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(&path, found)?;
            } else {
                found.insert(path.clone(), fs::metadata(&path)?.len());
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    match walk(&data.join("store"), &mut found) {
        // The storage may be elsewhere.
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
        _ => found,
    }
}
