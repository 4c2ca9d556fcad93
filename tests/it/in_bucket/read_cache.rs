//! What was read of a bucket is kept near, and trusted no more than the bucket.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use formats::PublicKey;

use super::requests::Counter;
use crate::harness::{Node, Seed, Server, TestPath};

fn server(sizes: &str) -> Server {
    Server::builder().config(format!("[storage.cache]\n{sizes}\n")).in_bucket().start()
}

fn noise(number: u64, bytes: usize) -> TestPath {
    TestPath::new(&format!("noise-{number}"), &Node::noise(&mut Seed::new(number, "read cache"), bytes))
}

/// Every file that is kept, with its length.
fn kept(server: &Server) -> Vec<(PathBuf, u64)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, u64)>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(about) if about.is_dir() => walk(&entry.path(), found),
                Ok(about) => found.push((entry.path(), about.len())),
                // It went meanwhile.
                Err(_) => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&server.data_dir().join("read-cache"), &mut found);
    found
}

/// Pulls a path; how often the bucket was asked.
async fn gets(server: &Server, path: &TestPath, key: &PublicKey) -> u64 {
    let counter = Counter::on(server);
    server.http().pull_same("main", path, key).await;
    counter.gets()
}

/// Pulls a path until the bucket is not asked any more: frames are written behind the reader's back.
async fn pull_until_kept(server: &Server, path: &TestPath, key: &PublicKey) {
    for _ in 0..50 {
        if gets(server, path, key).await == 0 {
            return;
        }
    }
    panic!("the bucket is asked each time");
}

async fn metric(server: &Server, line: &str) -> u64 {
    let text = server.http().get("/metrics").await.expect(200).text();
    let found = text.lines().find_map(|told| told.strip_prefix(line));
    found.map_or(0, |value| value.trim().parse().unwrap())
}

#[tokio::test]
async fn what_was_read_is_not_asked_for_again() {
    for sizes in ["disk = \"1 GiB\"", "memory = \"64 MiB\"\ndisk = \"1 GiB\"", "memory = \"64 MiB\""] {
        let mut server = server(sizes);
        let key = server.http().public_key("main").await;
        let paths = [noise(1, 9 << 20), noise(2, 200_000), TestPath::small("small")];
        for path in &paths {
            server.admin().upload("main", path).await.expect(200);
            assert!(gets(&server, path, &key).await > 0, "it was never read");
            pull_until_kept(&server, path, &key).await;
        }
        let from = if sizes.contains("memory") { "memory" } else { "disk" };
        assert!(metric(&server, &format!("flywheel_read_cache_frames_total{{from=\"{from}\"}}")).await > 9);
        assert!(metric(&server, "flywheel_read_cache_bytes_total{from=\"storage\"}").await > 9 << 20);
        if sizes.contains("disk") {
            server.kill9();
            server.restart();
            for path in &paths {
                assert_eq!(gets(&server, path, &key).await, 0, "it is found again at the start");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_go_or_change_while_it_runs_do_no_harm() {
    let server = server("disk = \"1 GiB\"");
    let key = server.http().public_key("main").await;
    let paths: Vec<TestPath> = (0..6).map(|number| noise(number, 3 << 20)).collect();
    for path in &paths {
        server.admin().upload("main", path).await.expect(200);
        pull_until_kept(&server, path, &key).await;
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let meddling = scope.spawn(|| {
            let mut seed = Seed::new(7, "meddling");
            for round in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    return round;
                }
                if round % 50 == 49 {
                    let _ = fs::remove_dir_all(server.data_dir().join("read-cache"));
                }
                for (file, length) in kept(&server) {
                    match seed.in_range(0..4) {
                        0 => _ = fs::remove_file(file),
                        1 => _ = fs::write(file, b"short"),
                        2 if length > 0 => {
                            let Ok(mut bytes) = fs::read(&file) else { continue };
                            let at = seed.in_range(0..bytes.len().max(1));
                            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
                            let _ = fs::write(file, bytes);
                        }
                        _ => {}
                    }
                }
            }
            0
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for round in 0..60 {
                    server.http().pull_same("main", &paths[round % 6], &key).await;
                }
            });
        });
        is_over.store(true, Ordering::Relaxed);
        assert!(meddling.join().unwrap() > 0);
    });
    assert!(metric(&server, "flywheel_read_cache_damaged_total").await > 0);
    assert_eq!(metric(&server, "flywheel_quarantined_nars").await, 0);
    assert_eq!(metric(&server, "flywheel_damaged_chunks_total").await, 0);
    for path in &paths {
        pull_until_kept(&server, path, &key).await;
    }
}

#[tokio::test]
async fn the_disk_is_not_filled_beyond_its_limit() {
    let server = server("disk = \"8 MiB\"");
    let key = server.http().public_key("main").await;
    for number in 0..20 {
        let path = noise(number, 1 << 20);
        server.admin().upload("main", &path).await.expect(200);
        server.http().pull_same("main", &path, &key).await;
        let bytes: u64 = kept(&server).iter().map(|(_, length)| length).sum();
        // And one that is being written.
        assert!(bytes <= (8 << 20) + (4 << 20), "{bytes} bytes are kept");
    }
    let bytes: u64 = kept(&server).iter().map(|(_, length)| length).sum();
    assert!(bytes > 2 << 20, "{bytes} bytes are kept");
}
