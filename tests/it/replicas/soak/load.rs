//! Clients that try again.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use formats::{Compression, FileHash, NarHash, NarInfo, PublicKey, StoreDir};
use reqwest::Method;
use tokio::time::sleep;

use super::{Replicas, figures::Figures};
use crate::harness::{Answer, Http, Node, Seed, TestPath, decompress, nix::Nix, try_answer};

/// How long a client goes on trying: longer than the longest outage of one replica, and all of them are never away.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a path is pushed.
pub(super) enum Way {
    /// By Attic's API.
    Attic,
    /// As `nix copy` does.
    Put,
    /// By our own client, from a store of this Nix.
    Native(Box<Nix>),
}

/// A path that was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) hash: String,
    pub(super) nar_hash: NarHash,
    pub(super) nar_size: u64,
}

/// What all clients have in common.
pub(super) struct Shared {
    pub(super) seed: u64,
    pub(super) figures: Mutex<Figures>,
    admins: Vec<Http>,
    urls: Vec<String>,
    token: String,
    key: PublicKey,
    known: Mutex<Vec<Known>>,
    is_over: AtomicBool,
}

impl Shared {
    pub(super) fn new(replicas: &Replicas) -> Self {
        let (seed, _) = Seed::from_environment("soak");
        Self {
            seed,
            figures: Mutex::default(),
            admins: replicas.admins(),
            urls: replicas.servers.iter().map(crate::harness::Server::url).collect(),
            token: replicas.token.clone(),
            key: replicas.key.clone(),
            known: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    pub(super) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether a replica serves.
    pub(super) async fn is_ready(&self, replica: usize) -> bool {
        let asked = try_answer(self.admins[replica].request(Method::GET, "/readyz")).await;
        asked.is_ok_and(|answer| answer.status == 200)
    }

    /// Reads a path from one replica until it answers; wrong bytes or a 404 end the test.
    pub(super) async fn check(&self, path: &Known, replica: usize) {
        self.read(path, replica, 0).await;
    }

    /// Reads a path, each time it fails from the replica `step` further on. How often it failed.
    async fn read(&self, path: &Known, first: usize, step: usize) -> usize {
        let begun = Instant::now();
        let mut failures = 0;
        loop {
            match read_once(&self.admins[(first + failures * step) % self.admins.len()], path, &self.key).await {
                Ok(()) => return failures,
                Err(why) => {
                    failures += 1;
                    assert!(begun.elapsed() < PATIENCE, "{} cannot be read: {why}", path.hash);
                    sleep(pause(failures)).await;
                }
            }
        }
    }
}

fn pause(failures: usize) -> Duration {
    Duration::from_millis(100) * u32::try_from(failures.min(20)).unwrap()
}

/// Reads an acknowledged path. The error is one that passes: whatever must not be ends the test.
async fn read_once(http: &Http, path: &Known, key: &PublicKey) -> Result<(), String> {
    let get = async |url: &str| {
        let answer = try_answer(http.request(Method::GET, url)).await.map_err(|error| error.to_string())?;
        match answer.status.as_u16() {
            200 => Ok(answer),
            status @ 500..=599 => Err(format!("{status}: {}", answer.text())),
            status => panic!("{url} of an acknowledged path answers {status}: {}", answer.text()),
        }
    };
    let narinfo = get(&format!("/main/{}.narinfo", path.hash)).await?;
    let store_dir = StoreDir::default();
    let narinfo = NarInfo::parse(&store_dir, narinfo.text()).unwrap();
    assert_eq!((narinfo.info.nar_hash, narinfo.info.nar_size), (path.nar_hash, path.nar_size), "{}", path.hash);
    assert!(narinfo.info.is_signed_by(&store_dir, [key]), "{}", path.hash);
    let file = get(&format!("/main/{}", narinfo.url)).await?.body;
    assert_eq!(narinfo.file_hash, Some(FileHash::digest_of(&file)), "wrong bytes of {} left with a 200", path.hash);
    let nar = decompress(narinfo.compression, &file).await.unwrap();
    assert_eq!(NarHash::digest_of(&nar), path.nar_hash, "wrong bytes of {} left with a 200", path.hash);
    Ok(())
}

/// Pushes until it is told to stop; everything that was acknowledged.
pub(super) async fn push(pusher: usize, ways: Vec<Way>, shared: std::sync::Arc<Shared>) -> Vec<Known> {
    let mut seed = Seed::new(shared.seed, &format!("pusher {pusher}"));
    let common = Node::noise(&mut Seed::new(shared.seed, "common"), 300_000);
    let mut done = Vec::new();
    for number in 0.. {
        if shared.is_over() {
            break;
        }
        // Mostly small ones, sometimes one that is sent in several reads, now and then one with many chunks.
        let size = match seed.in_range(0..100) {
            0..85 => 60_000,
            85..98 => 1_000_000,
            _ => 10_000_000,
        };
        let own = Node::noise(&mut seed, size);
        let name = format!("path-{pusher}-{number}");
        let node = Node::directory([("own", own), ("common", common.clone())]);
        let begun = Instant::now();
        let (known, failures) = match &ways[number % ways.len()] {
            Way::Native(nix) => native(nix, &shared, pusher + number, &name, node).await,
            way => {
                let path = TestPath::new(&name, &node);
                let is_put = matches!(way, Way::Put);
                let failures = over_http(&shared, pusher + number, &path, is_put).await;
                let (nar_hash, nar_size) = (path.info.nar_hash, path.info.nar_size);
                (Known { hash: path.hash(), nar_hash, nar_size }, failures)
            }
        };
        shared.figures.lock().unwrap().pushed(begun.elapsed(), failures, known.nar_size);
        shared.known.lock().unwrap().push(known.clone());
        done.push(known);
    }
    done
}

/// Pushes a path until it is acknowledged, by the next replica each time it is not. How often it was not.
async fn over_http(shared: &Shared, first: usize, path: &TestPath, is_put: bool) -> usize {
    let begun = Instant::now();
    let mut failures = 0;
    loop {
        let http = &shared.admins[(first + failures) % shared.admins.len()];
        let said = if is_put { put(http, path).await } else { http.try_upload("main", path).await };
        let why = match said {
            Ok(answer) if answer.status.is_success() => return failures,
            Ok(answer) => {
                let status = answer.status.as_u16();
                assert!(matches!(status, 501..=599), "a failure that does not pass: {status}: {}", answer.text());
                answer.text()
            }
            // Cut off, or nobody there.
            Err(error) => error.to_string(),
        };
        failures += 1;
        assert!(begun.elapsed() < PATIENCE, "pushed in vain: {why}");
        sleep(pause(failures)).await;
    }
}

/// The NAR and then the narinfo, as `nix copy` does.
async fn put(http: &Http, path: &TestPath) -> Result<Answer, reqwest::Error> {
    let (url, narinfo) = path.as_put(Compression::None, &path.nar);
    let put = async |url: &str, body: Bytes| try_answer(http.request(Method::PUT, url).body(body)).await;
    let answer = put(&format!("/main/{url}"), path.nar.clone()).await?;
    if !answer.status.is_success() {
        return Ok(answer);
    }
    put(&format!("/main/{}.narinfo", path.hash()), narinfo.into()).await
}

/// Adds a path to the Nix's store and pushes it by our own client, which tries again by itself, until it is acknowledged.
async fn native(nix: &Nix, shared: &Shared, first: usize, name: &str, node: Node) -> (Known, usize) {
    let (nix, name) = (nix.clone(), name.to_owned());
    let (urls, token) = (shared.urls.clone(), shared.token.clone());
    let pushing = move || {
        let folder = nix.place(&name);
        node.write_to(folder.as_ref());
        let root = nix.place("soak-root");
        let path = nix.ok(&["nix-store", "--store", &root, "--add", &folder]);
        let ask = |what: &str| nix.ok(&["nix-store", "--store", &root, "--query", what, &path]);
        let (hash, size) = (ask("--hash"), ask("--size"));
        std::fs::remove_dir_all(&folder).unwrap();
        let begun = Instant::now();
        let mut failures = 0;
        loop {
            let mut command = nix.client(crate::harness::nix::PUSH, &root);
            command.args(["push", "--protocol", "native", "--attempts", "3", "main", &path]);
            command.env("ATTIC_SERVER", &urls[(first + failures) % urls.len()]).env("ATTIC_TOKEN", &token);
            let output = command.output().unwrap();
            if output.status.success() {
                break;
            }
            failures += 1;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code().is_some_and(|code| matches!(code, 1 | 3 | 5)), "{said}");
            assert!(begun.elapsed() < PATIENCE, "pushed in vain: {said}");
            std::thread::sleep(pause(failures));
        }
        let hash_part = crate::harness::nix::hash_part(&path).to_owned();
        nix.ok(&["nix-store", "--store", &root, "--delete", &path]);
        let known = Known { hash: hash_part, nar_hash: hash.parse().unwrap(), nar_size: size.parse().unwrap() };
        (known, failures)
    };
    tokio::task::spawn_blocking(pushing).await.unwrap()
}

/// Reads what was acknowledged, whichever replica took it, until it is told to stop.
pub(super) async fn read(reader: usize, shared: std::sync::Arc<Shared>) {
    let mut seed = Seed::new(shared.seed, &format!("reader {reader}"));
    while !shared.is_over() {
        let path = {
            let known = shared.known.lock().unwrap();
            // Half of the time one of the latest, which some replica may not have heard of.
            let latest = known.len().saturating_sub(5) * (seed.number() % 2) as usize;
            (!known.is_empty()).then(|| known[seed.in_range(latest..known.len())].clone())
        };
        let Some(path) = path else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let begun = Instant::now();
        let failures = shared.read(&path, seed.in_range(0..shared.admins.len()), 1).await;
        shared.figures.lock().unwrap().read(begun.elapsed(), failures, path.nar_size);
    }
}
