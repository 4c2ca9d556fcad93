//! Everything at once: two clients push and read closures that share paths, while collection, the rewriting of packs and the scrub
//! go on without a pause. Nobody reads in vain what is wanted.
//!
//! `STORM_SECONDS` and `STORM_PATHS` make it longer and larger, as `scripts/storm` does; `FLYWHEEL_SEED` repeats the choices of the
//! clients, though not what falls together.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use client::push::{ProtocolChoice, Push};
use formats::{PublicKey, StorePath};
use reqwest::Method;
use serde_json::json;

use crate::harness::{Http, Pulled, Seed, Server, Shelf};

const SECONDS: u64 = 20;
const PATHS: u64 = 200;
/// How many pins each client has.
const PINS: usize = 2;

/// What is going on.
struct Storm {
    server: Server,
    http: Http,
    admin: Http,
    key: PublicKey,
    shelf: Arc<Shelf>,
    begin: Instant,
    length: Duration,
    grace: Duration,
    /// Until when a closure must be there, since somebody pushed it or was told that it is there.
    wanted: Mutex<HashMap<StorePath, Instant>>,
    /// What each pin keeps.
    pins: Mutex<Vec<Option<StorePath>>>,
    failures: Mutex<Vec<String>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    pushes: AtomicU64,
    pushed_paths: AtomicU64,
    reads: AtomicU64,
    absent: AtomicU64,
    pinned: AtomicU64,
    too_slow: AtomicU64,
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn number(name: &str, otherwise: u64) -> u64 {
    let told = std::env::var(name).ok().filter(|text| !text.is_empty());
    told.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn config(grace: Duration) -> String {
    let grace = grace.as_secs();
    format!(
        "[garbage-collection]\ninterval = \"1ms\"\ndefault-retention-period = \"1s\"\n\
         [flywheel.collection]\ngrace = \"{grace}s\"\nupload-lease = \"{grace}s\"\nrewrite-below = 90\n\
         [flywheel.inspection]\nscrub-rate = \"64 MiB\"\nscrub-interval = \"1s\"\nstats-interval = \"10s\"\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_wanted_is_read_while_everything_else_goes() {
    let length = Duration::from_secs(number("STORM_SECONDS", SECONDS));
    let (chosen, mut seed) = Seed::from_environment("storm");
    let shelf = Arc::new(Shelf::new(usize::try_from(number("STORM_PATHS", PATHS)).unwrap(), &mut seed));
    let grace = Duration::from_secs(if length < Duration::from_secs(60) { 5 } else { 20 });
    let server = Server::builder().config(config(grace)).start();
    let storm = Arc::new(Storm {
        http: server.http(),
        admin: server.admin(),
        key: server.http().public_key("main").await,
        server,
        shelf,
        begin: Instant::now(),
        length,
        grace,
        wanted: Mutex::default(),
        pins: Mutex::new(vec![None; 2 * PINS]),
        failures: Mutex::default(),
        counts: Counts::default(),
    });
    let mut tasks = Vec::new();
    for (client, protocol) in [ProtocolChoice::Native, ProtocolChoice::Attic].into_iter().enumerate() {
        let push = Shelf::pushing(&storm.shelf, &storm.server, protocol).await;
        let (pushing, reading) = (Arc::clone(&storm), Arc::clone(&storm));
        let seeds = ["push", "read"].map(|what| Seed::new(chosen, &format!("{what} {client}")));
        let [mut chance, mut other] = seeds;
        tasks.push(tokio::spawn(async move {
            while pushing.goes_on() {
                pushing.push(&push, client, &mut chance).await;
            }
        }));
        tasks.push(tokio::spawn(async move {
            while reading.goes_on() {
                reading.read(&mut other).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    storm.end().await;
}

impl Storm {
    fn goes_on(&self) -> bool {
        self.begin.elapsed() < self.length
    }

    /// A closure of those whose turn it is: a quarter of all, which moves on, so that every closure is left alone for long enough
    /// to be collected, again and again.
    fn choose(&self, chance: &mut Seed) -> &StorePath {
        let roots = self.shelf.roots();
        let turn = self.begin.elapsed().as_secs_f64() / (4.0 * self.grace.as_secs_f64());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among the roots")]
        let start = (turn.fract() * roots.len() as f64) as usize;
        &roots[(start + chance.in_range(0..roots.len() / 4 + 1)) % roots.len()]
    }

    /// Whoever was told at `since` that a closure is there finds it for the grace, less what answers and clocks may take.
    fn want(&self, root: &StorePath, since: Instant) {
        let until = since + self.grace.mul_f64(0.6);
        let mut wanted = self.wanted.lock().unwrap();
        let entry = wanted.entry(root.clone()).or_insert(until);
        *entry = until.max(*entry);
    }

    fn wanted_until(&self, root: &StorePath) -> Option<Instant> {
        self.wanted.lock().unwrap().get(root).copied()
    }

    fn is_pinned(&self, root: &StorePath) -> bool {
        self.pins.lock().unwrap().iter().flatten().any(|pinned| pinned == root)
    }

    fn fail(&self, why: String) {
        eprintln!("after {:.1} s: {why}", self.begin.elapsed().as_secs_f64());
        self.failures.lock().unwrap().push(why);
    }

    async fn push(&self, client: &Push, number: usize, chance: &mut Seed) {
        let root = self.choose(chance);
        let begin = Instant::now();
        let plan = client.plan([root.clone()].into()).await.unwrap();
        let report = client.apply(&plan).await;
        for (path, error) in report.failures() {
            self.fail(format!("the push of {path} failed: {error}: {error:?}"));
        }
        if !report.is_complete() {
            return;
        }
        count(&self.counts.pushes, 1);
        count(&self.counts.pushed_paths, report.uploaded().count() as u64);
        if begin.elapsed() > self.grace / 2 {
            // What was there when the push began may be gone by now: nobody has to wait for a client that takes so long.
            count(&self.counts.too_slow, 1);
            return;
        }
        self.want(root, begin);
        if chance.in_range(0..8) == 0 {
            self.pin(root, number * PINS + chance.in_range(0..PINS)).await;
        }
    }

    async fn pin(&self, root: &StorePath, pin: usize) {
        self.pins.lock().unwrap()[pin] = None;
        let body = json!({"store_path": root.to_string(), "keep_revisions": 1});
        let pinned =
            self.admin.send_json(Method::PUT, &format!("/_flywheel/v1/caches/main/pins/pin-{pin}"), &body).await;
        if pinned.status != 200 {
            self.fail(format!("{root} cannot be pinned: {}", pinned.text()));
            return;
        }
        self.pins.lock().unwrap()[pin] = Some(root.clone());
        count(&self.counts.pinned, 1);
    }

    /// Reads a closure as Nix does, from the root on; a pinned one now and then.
    async fn read(&self, chance: &mut Seed) {
        let pins: Vec<StorePath> = self.pins.lock().unwrap().iter().flatten().cloned().collect();
        let root =
            if !pins.is_empty() && chance.in_range(0..4) == 0 { chance.pick(&pins) } else { self.choose(chance) };
        let (until, was_pinned) = (self.wanted_until(root), self.is_pinned(root));
        let begin = Instant::now();
        match self.http.pull("main", &root.hash().to_string(), &self.key).await {
            Pulled::Whole(_) => self.want(root, begin),
            Pulled::Absent => {
                let is_wanted = until.is_some_and(|until| Instant::now() < until);
                if is_wanted || (was_pinned && self.is_pinned(root)) {
                    self.fail(format!("{root} is wanted and gone; pinned: {was_pinned}"));
                }
                count(&self.counts.absent, 1);
                return;
            }
            Pulled::Broken(why) => return self.fail(why),
        }
        for info in self.shelf.closure_of(root) {
            let is_late = begin.elapsed() > self.grace.mul_f64(0.6);
            match self.http.pull("main", &info.path.hash().to_string(), &self.key).await {
                Pulled::Whole(narinfo) if narinfo.info.nar_hash == info.nar_hash => count(&self.counts.reads, 1),
                Pulled::Absent if is_late && !was_pinned => return count(&self.counts.too_slow, 1),
                Pulled::Absent => self.fail(format!("{root} is there, and refers to {}, which is gone", info.path)),
                other => self.fail(format!("{} of the closure of {root}: {other:?}", info.path)),
            }
        }
    }

    /// What came of it.
    async fn end(&self) {
        let metrics = self.http.get("/metrics").await.expect(200).text();
        let metric = |name: &str| -> f64 {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
        };
        let rounds = self.server.log().matches("\"collected\"").count();
        let told = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        eprintln!(
            "{} s, {} paths: {} pushes sent {} paths, {} pinned; {} paths read whole, {} closures found absent, {} too slow to \
             judge; {rounds} rounds of collection that did something, paths {} and chunks {} removed, {} bytes moved, {} bytes \
             freed, {} bytes scrubbed",
            self.length.as_secs(),
            self.shelf.len(),
            told(&counts.pushes),
            told(&counts.pushed_paths),
            told(&counts.pinned),
            told(&counts.reads),
            told(&counts.absent),
            told(&counts.too_slow),
            metric("flywheel_gc_removed_paths_total"),
            metric("flywheel_gc_removed_chunks_total"),
            metric("flywheel_gc_moved_bytes_total"),
            metric("flywheel_gc_freed_bytes_total"),
            metric("flywheel_scrubbed_bytes_total"),
        );
        assert_eq!(*self.failures.lock().unwrap(), [] as [String; 0]);
        for name in ["removed_paths", "removed_chunks", "freed_bytes", "moved_bytes"] {
            assert!(metric(&format!("flywheel_gc_{name}_total")) > 0.0, "there was nothing of {name}");
        }
        for nothing in ["flywheel_gc_failures_total", "flywheel_scrub_failures_total", "flywheel_quarantined_nars"] {
            let told = metrics.lines().find_map(|line| line.strip_prefix(nothing)?.strip_prefix(' '));
            assert!(told.is_none_or(|number| number == "0"), "{nothing}: {told:?}");
        }
        assert!(metric("flywheel_scrubbed_bytes_total") > 0.0);
        assert!(told(&counts.reads) > 0 && told(&counts.pushes) > 0);
    }
}
