//! kill -9 at random moments during pushes: what was acknowledged is there, nothing is there by halves, nothing is stuck.

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use formats::{Compression, PublicKey};
use reqwest::Method;
use tokio::task::JoinSet;

use crate::harness::{Backing, Http, Node, Pulled, Seed, Server, TestPath, compress, try_answer};

const PATHS: usize = 50;
const WORKERS: usize = 4;
const KILLS: usize = 12;

/// How a path is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Attic,
    Put(Compression),
}

#[derive(Debug)]
struct Push {
    path: TestPath,
    protocol: Protocol,
    /// What is put, if it is.
    file: Bytes,
}

/// Paths that share contents: most are folders with files from one pool, some have the very NAR of another path.
async fn pushes(seed: &mut Seed) -> Vec<Arc<Push>> {
    let pool: Vec<Node> = (0..24)
        .map(|i| match i % 6 {
            0 => Node::noise(seed, 1_500_000),
            1 => Node::noise(seed, 100_000),
            2 => Node::odd(),
            _ => Node::small_files(seed, 40),
        })
        .collect();
    let mut pushes: Vec<Arc<Push>> = Vec::new();
    for i in 0..PATHS {
        let name = format!("path-{i}");
        let path = if i % 10 == 9 {
            TestPath::of_nar(&name, seed.pick(&pushes).path.nar.clone())
        } else {
            let parts = seed.in_range(1..6);
            let mut entries: Vec<_> = (0..parts).map(|j| (format!("shared-{j}"), seed.pick(&pool).clone())).collect();
            let own = if i % 7 == 0 { seed.in_range(2 << 20..4 << 20) } else { seed.in_range(0..20_000) };
            entries.push(("own".to_owned(), Node::noise(seed, own)));
            TestPath::new(&name, &Node::directory(entries))
        };
        let protocol = *seed.pick(&[
            Protocol::Attic,
            Protocol::Attic,
            Protocol::Put(Compression::None),
            Protocol::Put(Compression::Zstd),
        ]);
        let file = match protocol {
            Protocol::Attic => Bytes::new(),
            Protocol::Put(compression) => compress(compression, &path.nar).await.into(),
        };
        pushes.push(Arc::new(Push { path, protocol, file }));
    }
    pushes
}

impl Push {
    /// Pushes it; `false` if the server went away before it was acknowledged.
    async fn run(&self, http: &Http) -> bool {
        match self.protocol {
            Protocol::Attic => is_acknowledged(http.try_upload("main", &self.path).await),
            Protocol::Put(compression) => {
                let (url, narinfo) = self.path.as_put(compression, &self.file);
                let put = |url: String, body: Bytes| try_answer(http.request(Method::PUT, &url).body(body));
                is_acknowledged(put(format!("/main/{url}"), self.file.clone()).await)
                    && is_acknowledged(put(format!("/main/{}.narinfo", self.path.hash()), narinfo.into()).await)
            }
        }
    }
}

/// A live server takes every push; one that was killed answers nothing.
fn is_acknowledged(answer: Result<crate::harness::Answer, reqwest::Error>) -> bool {
    match answer {
        Ok(answer) => answer.expect(200).status == 200,
        Err(_) => false,
    }
}

/// Pushes what is in the queue, several at a time, until it is empty or the server is gone.
fn start(
    queue: &Arc<Mutex<VecDeque<Arc<Push>>>>,
    acknowledged: &Arc<Mutex<BTreeSet<String>>>,
    http: &Http,
) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (queue, acknowledged, http) = (Arc::clone(queue), Arc::clone(acknowledged), http.clone());
        workers.spawn(async move {
            loop {
                let Some(push) = queue.lock().unwrap().pop_front() else { return };
                if !push.run(&http).await {
                    return queue.lock().unwrap().push_front(push);
                }
                acknowledged.lock().unwrap().insert(push.path.hash());
            }
        });
    }
    workers
}

/// Every acknowledged path is whole, every other one is whole or absent. Returns how many are there.
async fn check(http: &Http, pushes: &[Arc<Push>], acknowledged: &BTreeSet<String>, key: &PublicKey) -> usize {
    let mut whole = 0;
    for push in pushes {
        let hash = push.path.hash();
        match http.pull("main", &hash, key).await {
            Pulled::Whole(narinfo) => {
                assert_eq!(narinfo.info.nar_hash, push.path.info.nar_hash);
                whole += 1;
            }
            Pulled::Absent => {
                assert!(!acknowledged.contains(&hash), "{} was acknowledged and is gone", push.path.info.path);
            }
            Pulled::Broken(why) => panic!("half visible: {why}"),
        }
    }
    whole
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_moments_lose_nothing() {
    let (_, mut seed) = Seed::from_environment("kill -9");
    let pushes = pushes(&mut seed).await;
    let mut server = Server::new();
    let key = server.http().public_key("main").await;
    let http = server.http().with_token(&server.token(&["--cache", "main"]));
    let queue: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(pushes.iter().cloned().collect()));
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();

    let mut kills = 0;
    while kills < KILLS {
        if queue.lock().unwrap().is_empty() {
            // Everything is there already: the rest of the kills hits pushes of what is known.
            queue.lock().unwrap().extend(pushes.iter().cloned());
        }
        let workers = start(&queue, &acknowledged, &http);
        tokio::time::sleep(Duration::from_millis(seed.in_range(0..300) as u64)).await;
        server.kill9();
        kills += 1;
        workers.join_all().await;
        // A crash may come while the last one is being cleared up.
        if seed.in_range(0..3) == 0 {
            server.start_and_kill9(Duration::from_millis(seed.in_range(0..60) as u64));
        }
        server.restart();
        assert_eq!(server.http().public_key("main").await, key);
        let known = acknowledged.lock().unwrap().clone();
        let whole = check(&http, &pushes, &known, &key).await;
        eprintln!("kill {kills}: {} paths acknowledged, {whole} there", known.len());
        // A bucket keeps the parts of an upload that nobody ends until a rule of its own takes them away.
        if let Backing::Folder = server.backing() {
            let left = fs::read_dir(server.data_dir().join("store/tmp")).unwrap().count();
            assert_eq!(left, 0, "half-written files are left");
        }
    }

    // Nothing is stuck: pushing everything again goes through.
    queue.lock().unwrap().clear();
    queue.lock().unwrap().extend(pushes.iter().cloned());
    start(&queue, &acknowledged, &http).join_all().await;
    let known = acknowledged.lock().unwrap().clone();
    assert_eq!(known.len(), PATHS);
    assert_eq!(check(&http, &pushes, &known, &key).await, PATHS);
    assert!(server.terminate().success());
}
