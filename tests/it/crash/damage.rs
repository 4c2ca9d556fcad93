//! Damage on disk: wrong bytes never leave with a 200, and pushing the path again heals it.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use formats::{NarHash, NarInfo, StoreDir};
use reqwest::Method;
use serde_json::json;
use storage::{Key, Storage};

use crate::harness::{Node, Seed, Server, TestPath, decompress, try_answer};

/// What may happen to a pack.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// One byte in the middle is another.
    Flip,
    /// The second half is gone.
    Truncate,
    /// The file is gone.
    Delete,
}

impl Damage {
    /// Does it to an object: to its file if it has one, else by putting another one in its place.
    async fn strike(self, server: &Server, pack: &Key) {
        match server.backing().files(&server.data_dir()) {
            Some(objects) => self.strike_file(&objects.join(pack.as_str())),
            None => self.strike_object(&server.backing().storage().await.expect("a bucket"), pack).await,
        }
    }

    fn strike_file(self, pack: &Path) {
        let file = File::options().read(true).write(true).open(pack).unwrap();
        let middle = file.metadata().unwrap().len() / 2;
        match self {
            Self::Flip => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, middle).unwrap();
                file.write_all_at(&[byte[0] ^ 0x10], middle).unwrap();
            }
            Self::Truncate => file.set_len(middle).unwrap(),
            Self::Delete => fs::remove_file(pack).unwrap(),
        }
    }

    async fn strike_object(self, storage: &dyn Storage, pack: &Key) {
        let size = storage.size(pack).await.unwrap().expect("the pack");
        let mut bytes = storage.read(pack, 0..size).await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        match self {
            Self::Flip => bytes[middle] ^= 0x10,
            Self::Truncate => bytes.truncate(middle),
            Self::Delete => return storage.delete(pack).await.unwrap(),
        }
        storage.put(pack, bytes.into()).await.unwrap();
    }
}

/// The largest pack.
fn largest_pack(server: &Server) -> Key {
    let packs = server.objects().into_iter().filter(|(key, _)| key.as_str().starts_with("packs/"));
    packs.max_by_key(|(_, size)| *size).expect("there are packs").0
}

/// GETs the NAR that the cache's narinfo names. Whatever comes with a 200 and to its end must be right.
async fn read(server: &Server, path: &TestPath) -> Result<(), String> {
    let http = server.http();
    let narinfo = http.get(&format!("/main/{}.narinfo", path.hash())).await;
    if narinfo.status != 200 {
        return Err(format!("narinfo: {}", narinfo.status));
    }
    let narinfo = NarInfo::parse(&StoreDir::default(), narinfo.body).unwrap();
    match try_answer(http.request(Method::GET, &format!("/main/{}", narinfo.url))).await {
        Err(broken) => Err(broken.to_string()),
        Ok(answer) if answer.status != 200 => Err(answer.status.to_string()),
        Ok(answer) => {
            let nar = decompress(narinfo.compression, &answer.body).await.unwrap();
            assert_eq!(NarHash::digest_of(&nar), path.info.nar_hash, "wrong bytes left with a 200");
            Ok(())
        }
    }
}

async fn is_missing(server: &Server, path: &TestPath) -> bool {
    let ask = json!({"cache": "main", "store_path_hashes": [path.hash()]});
    let answer = server.admin().send_json(Method::POST, "/_api/v1/get-missing-paths", &ask).await.expect(200);
    answer.json()["missing_paths"] == json!([path.hash()])
}

async fn strikes_and_heals(damage: Damage, path: &TestPath, other: &TestPath) {
    let mut server = Server::new();
    let key = server.http().public_key("main").await;
    let admin = server.admin();
    admin.upload("main", path).await.expect(200);
    let pack = largest_pack(&server);
    // Another path, in the same chunks.
    admin.upload("main", other).await.expect(200);
    let untouched = TestPath::small("untouched");
    admin.upload("main", &untouched).await.expect(200);
    // What was found whole once may be sent without another look: only until somebody writes to it.
    for _ in 0..3 {
        read(&server, path).await.unwrap();
    }

    damage.strike(&server, &pack).await;
    if let Damage::Delete = damage {
        // As long as the server has the file open, it is not gone.
        server.restart();
    }
    read(&server, path).await.expect_err("it is damaged");
    assert_eq!(read(&server, path).await, Err("narinfo: 404 Not Found".to_owned()), "{damage:?}");
    assert!(is_missing(&server, path).await, "{damage:?}");
    server.http().pull_same("main", &untouched, &key).await;

    // The other path's damage is found when it is read at the latest.
    let _ = read(&server, other).await;
    for path in [path, other] {
        if is_missing(&server, path).await {
            admin.upload("main", path).await.expect(200);
        }
    }
    for path in [path, other, &untouched] {
        server.http().pull_same("main", path, &key).await;
        assert!(!is_missing(&server, path).await);
    }
    server.restart();
    for path in [path, other, &untouched] {
        server.http().pull_same("main", path, &key).await;
    }
}

/// Paths of one chunk: the damage is known before the status is sent.
#[tokio::test]
async fn damage_to_a_small_path_is_healed() {
    for damage in [Damage::Flip, Damage::Truncate, Damage::Delete] {
        let path = TestPath::new("small", &Node::noise(&mut Seed::new(1, "damage"), 30_000));
        let other = TestPath::of_nar("small-too", path.nar.clone());
        strikes_and_heals(damage, &path, &other).await;
    }
}

/// Paths of many chunks: the damage is met in the middle of the answer.
#[tokio::test]
async fn damage_to_a_large_path_is_healed() {
    for damage in [Damage::Flip, Damage::Truncate, Damage::Delete] {
        let contents = Node::noise(&mut Seed::new(2, "damage"), 4 << 20);
        let path = TestPath::new("large", &contents);
        let other = TestPath::new("large-too", &Node::directory([("file", contents)]));
        strikes_and_heals(damage, &path, &other).await;
    }
}
