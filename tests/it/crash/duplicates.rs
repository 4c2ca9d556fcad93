//! The same bytes pushed by many at once are stored once.

use bytes::Bytes;
use formats::Compression;
use futures::future::join_all;

use crate::harness::{Http, Node, Seed, Server, TestPath, compress};

/// What a push may store besides the contents: pack headers, records, listings.
const TOLERANCE: u64 = 64 << 10;

fn noise() -> TestPath {
    let mut seed = Seed::new(7, "duplicates");
    TestPath::new(
        "noise",
        &Node::directory([("a", Node::noise(&mut seed, 5 << 20)), ("b", Node::small_files(&mut seed, 200))]),
    )
}

async fn put(http: &Http, path: &TestPath, compression: Compression, file: &Bytes) {
    let (url, narinfo) = path.as_put(compression, file);
    http.put(&format!("/main/{url}"), file.clone()).await.expect(200);
    http.put(&format!("/main/{}.narinfo", path.hash()), narinfo).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_pushes_of_one_nar_store_it_once() {
    let path = noise();
    let once = Server::new();
    once.admin().upload("main", &path).await.expect(200);

    let often = Server::new();
    let admin = often.admin();
    let key = admin.public_key("main").await;
    // The same path by Attic's API, and the same NAR under other names by either protocol.
    let names: Vec<TestPath> = (0..4).map(|i| TestPath::of_nar(&format!("name-{i}"), path.nar.clone())).collect();
    let zstd = Bytes::from(compress(Compression::Zstd, &path.nar).await);
    let same = join_all((0..4).map(|_| admin.upload("main", &path)));
    let other = join_all(names[..2].iter().map(|name| admin.upload("main", name)));
    let plain = put(&admin, &names[2], Compression::None, &path.nar);
    let packed = put(&admin, &names[3], Compression::Zstd, &zstd);
    let (same, other, (), ()) = tokio::join!(same, other, plain, packed);
    for answer in same.into_iter().chain(other) {
        answer.expect(200);
    }

    for path in names.iter().chain([&path]) {
        admin.pull_same("main", path, &key).await;
    }
    let (once, often) = (once.stored_bytes(), often.stored_bytes());
    assert!(often < once + TOLERANCE, "{often} bytes are stored where {once} would do");
}
