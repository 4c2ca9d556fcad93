//! A pack whose disk stalls: whoever wants it waits, and nobody else does.

use std::{fs, time::Duration};

use formats::{NarInfo, StoreDir};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::store::packs;
use crate::harness::{Node, Seed, Server, TestPath};

/// More than there are threads for what may block.
const WAITING: usize = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_that_stalls_holds_up_its_own_readers_only() {
    let mut server = Server::new();
    let admin = server.admin();
    let stalled = TestPath::new("stalled", &Node::noise(&mut Seed::new(5, "stalled"), 3 << 20));
    let others: Vec<TestPath> = (0..5).map(|i| TestPath::small(&format!("other-{i}"))).collect();
    for path in others.iter().chain([&stalled]) {
        admin.upload("main", path).await.expect(200);
    }
    let pack = packs(&server).swap_remove(0);
    server.kill9();
    // A pipe that nobody writes to: opening it takes for ever.
    let aside = pack.file.with_extension("aside");
    fs::rename(&pack.file, &aside).unwrap();
    mknodat(CWD, &pack.file, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    server.restart();
    let http = server.http();
    let key = http.public_key("main").await;
    let narinfo = http.get(&format!("/main/{}.narinfo", stalled.hash())).await.expect(200);
    let url = format!("/main/{}", NarInfo::parse(&StoreDir::default(), narinfo.body).unwrap().url);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..WAITING {
        let request = http.request(reqwest::Method::GET, &url);
        readers.spawn(async move { request.send().await.map(|answer| answer.status()) });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(readers.try_join_next().is_none(), "they wait");
    // Everybody else goes on, with reading and with pushing.
    for path in &others {
        http.pull_same("main", path, &key).await;
    }
    http.get("/readyz").await.expect(200);
    // (What shares a chunk with the stalled pack has to wait for it.)
    let new = TestPath::new("new", &Node::small_files(&mut Seed::new(6, "stalled"), 300));
    admin.upload("main", &new).await.expect(200);
    http.pull_same("main", &new, &key).await;
    // They still wait, or were told in the end that there is no memory for more of them.
    while let Some(told) = readers.try_join_next() {
        assert_eq!(told.unwrap().unwrap(), 503);
    }
    readers.abort_all();
    while readers.join_next().await.is_some() {}
    server.kill9();
    fs::rename(&aside, &pack.file).unwrap();
    server.restart();
    server.http().pull_same("main", &stalled, &key).await;
}
