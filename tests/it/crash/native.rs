//! kill -9 of client and server, and connections cut at random byte counts, during native pushes of paths that share chunks.
//!
//! Real Nix, the real client, the real server; between the two a proxy that drops connections. `FLYWHEEL_CHAOS_ACTS` says for how
//! long it goes on.

use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use formats::{PublicKey, StorePath};
use protocol::{ChunkHash, push};
use reqwest::Method;

use crate::harness::{
    Fsck, Http, Pulled, Seed, Server,
    cutting_proxy::CuttingProxy,
    nix::{Nix, clients},
};

const CLIENT: &str = env!("CARGO_BIN_EXE_client-under-test");
const PATHS: usize = 40;
const ACTS: usize = 12;
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// What may be sent again after a connection or a client has died: what was on its way between the programs, and the last batch.
const IN_FLIGHT_BYTES: u64 = 4 << 20;

/// A store with paths that share files, a server, and what is between them.
struct Scene {
    server: Server,
    proxy: CuttingProxy,
    http: Http,
    key: PublicKey,
    nix: Nix,
    root: String,
    token: String,
    list: String,
    paths: Vec<StorePath>,
    /// What the same push takes when nothing goes wrong: bytes sent, and bytes stored.
    undisturbed: (u64, u64),
}

impl Scene {
    async fn new(seed: &mut Seed) -> Option<Self> {
        let client = clients().first()?.clone();
        let server = Server::new();
        let proxy = CuttingProxy::start(server.address());
        let nix = client.at_home(&server, &[]);
        let key = server.http().public_key("main").await;
        let http = server.http();
        let token = server.token(&["--cache", "main"]);
        let root = nix.place("root");
        let file = |seed: &mut Seed, most: usize| {
            let length = seed.in_range(1..most);
            seed.bytes(length)
        };
        let pool: Vec<Vec<u8>> = (0..12).map(|i| file(seed, if i % 3 == 0 { 2_000_000 } else { 200_000 })).collect();
        let folders: Vec<String> = (0..PATHS)
            .map(|i| {
                let folder = nix.place(&format!("path-{i}"));
                fs::create_dir_all(&folder).unwrap();
                for j in 0..seed.in_range(1..5) {
                    fs::write(format!("{folder}/shared-{j}"), seed.pick(&pool)).unwrap();
                }
                // One is larger than what the client hands on at a time.
                let most = if i == 7 { 12_000_000 } else { 1_500_000 };
                fs::write(format!("{folder}/own"), file(seed, most)).unwrap();
                folder
            })
            .collect();
        let mut words = vec!["nix-store", "--store", &root, "--add"];
        words.extend(folders.iter().map(String::as_str));
        let added = nix.ok(&words);
        let names = added.lines().map(|line| line.strip_prefix("/nix/store/").expect("Nix adds to its store"));
        let paths = names.map(|name| name.parse().unwrap()).collect();
        let list = nix.file("list", &added);
        let mut scene = Self { server, proxy, http, key, nix, root, token, list, paths, undisturbed: (0, 0) };
        scene.undisturbed = scene.push_undisturbed();
        Some(scene)
    }

    /// Pushes everything to another server.
    fn push_undisturbed(&self) -> (u64, u64) {
        let server = Server::new();
        let proxy = CuttingProxy::start(server.address());
        let mut client = self.client();
        client.env("ATTIC_SERVER", format!("http://{}", proxy.address()));
        client.env("ATTIC_TOKEN", server.token(&["--cache", "main"]));
        assert!(client.status().unwrap().success());
        (proxy.to_server(), server.stored_bytes())
    }

    /// A client that pushes everything through the proxy.
    fn client(&self) -> Command {
        let mut command = self.nix.client(CLIENT, &self.root);
        command.args(["push", "main", "--stdin", "--protocol", "native"]);
        command.env("ATTIC_SERVER", format!("http://{}", self.proxy.address())).env("ATTIC_TOKEN", &self.token);
        command.stdin(fs::File::open(&self.list).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn start(&self) -> Child {
        self.client().spawn().unwrap()
    }

    /// Pushes until it is done.
    fn finish(&self) {
        let begin = Instant::now();
        loop {
            let output = self.client().stderr(Stdio::piped()).output().unwrap();
            if output.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(begin.elapsed() < PATIENCE, "the push never succeeds: {said}");
        }
    }

    /// The paths whose narinfo is there.
    async fn visible(&self) -> BTreeSet<StorePath> {
        let mut visible = BTreeSet::new();
        for path in &self.paths {
            if self.http.head(&format!("/main/{}.narinfo", path.hash())).await.status == 200 {
                visible.insert(path.clone());
            }
        }
        visible
    }

    /// Everything that is visible is whole; gives what that is.
    async fn whole(&self) -> BTreeSet<StorePath> {
        let mut whole = BTreeSet::new();
        for path in &self.paths {
            match self.http.pull("main", &path.hash().to_string(), &self.key).await {
                Pulled::Whole(narinfo) => {
                    assert_eq!(narinfo.info.path, *path);
                    whole.insert(path.clone());
                }
                Pulled::Absent => {}
                Pulled::Broken(why) => panic!("half visible: {why}"),
            }
        }
        whole
    }

    /// Every path is there, whole, and nothing was stored twice. What a server had stored and could not say any more when it was killed
    /// does not count: nobody knows of it, and collection removes it.
    async fn assert_complete(&self) {
        assert_eq!(self.whole().await, self.paths.iter().cloned().collect());
        let fsck = Fsck::run(&self.server, &[]);
        assert_eq!(fsck.status, 0, "{}", fsck.report);
        let stored = self.server.stored_bytes() - fsck.unknown_bytes();
        // What differs is where packs end, and listings that were stored with a path that did not come to its end.
        let (_, undisturbed) = self.undisturbed;
        let most = undisturbed + undisturbed / 100 + (64 << 10);
        assert!(stored < most, "{stored} bytes are stored for {undisturbed}: {}", fsck.report);
    }
}

fn acts() -> usize {
    std::env::var("FLYWHEEL_CHAOS_ACTS").map_or(ACTS, |acts| acts.parse().expect("FLYWHEEL_CHAOS_ACTS is a number"))
}

fn has_ended(client: &mut Child) -> bool {
    client.try_wait().unwrap().is_some()
}

fn kill(mut client: Child) {
    client.kill().unwrap();
    client.wait().unwrap();
}

/// However often client and connection die, what has arrived is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_clients_and_cut_connections_send_only_the_rest() {
    let (_, mut seed) = Seed::from_environment("native push, client and connection");
    let Some(scene) = Scene::new(&mut seed).await else { return };
    let mut client: Option<Child> = None;
    let mut deaths = 0;
    for act in 0..acts() {
        let mut running: Child = client.take().unwrap_or_else(|| scene.start());
        if has_ended(&mut running) {
            running = scene.start();
        }
        if seed.in_range(0..3) == 0 {
            sleep(Duration::from_millis(seed.in_range(0..400) as u64));
            kill(running);
            deaths += 1;
        } else {
            let bytes = seed.in_range(0..5_000_000) as u64;
            deaths += u64::from(scene.proxy.cut_after(bytes, Duration::from_secs(2)));
            client = Some(running);
        }
        let whole = scene.whole().await.len();
        eprintln!("act {act}: {deaths} deaths, {whole} paths there, {} bytes sent", scene.proxy.to_server());
    }
    client.into_iter().for_each(kill);
    scene.proxy.stop_cutting();
    scene.finish();
    scene.assert_complete().await;
    // What else goes that way is small: questions, digests, heads.
    let (undisturbed, _) = scene.undisturbed;
    let sent = scene.proxy.to_server();
    eprintln!("{sent} bytes were sent for {undisturbed}, {deaths} deaths");
    assert!(
        sent < undisturbed + deaths * IN_FLIGHT_BYTES + (1 << 20),
        "{sent} sent for {undisturbed}, {deaths} deaths"
    );

    // Once more, with nothing to send.
    scene.finish();
    assert!(scene.proxy.to_server() - sent < 1 << 20);
}

/// What was there before the server died is there after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_that_it_has_shown() {
    let (_, mut seed) = Seed::from_environment("native push, server");
    let Some(mut scene) = Scene::new(&mut seed).await else { return };
    let mut client = scene.start();
    for act in 0..acts() {
        if has_ended(&mut client) {
            client = scene.start();
        }
        sleep(Duration::from_millis(seed.in_range(0..400) as u64));
        let visible = scene.visible().await;
        match seed.in_range(0..4) {
            0 => {
                kill(client);
                client = scene.start();
            }
            1 => drop(scene.proxy.cut_after(seed.in_range(0..1_000_000) as u64, Duration::from_millis(500))),
            _ => {
                scene.server.kill9();
                // A crash may come while the last one is being cleared up.
                if seed.in_range(0..3) == 0 {
                    scene.server.start_and_kill9(Duration::from_millis(seed.in_range(0..60) as u64));
                }
                scene.server.restart();
            }
        }
        let whole = scene.whole().await;
        assert!(whole.is_superset(&visible), "gone: {:?}", visible.difference(&whole));
        eprintln!("act {act}: {} paths there", whole.len());
    }
    kill(client);
    scene.proxy.stop_cutting();
    scene.finish();
    scene.assert_complete().await;
}

/// A push that comes slowly is put away as it comes: a crash costs the last seconds and not all of it.
#[tokio::test]
async fn chunks_do_not_wait_for_the_end_of_the_stream() {
    let (_, mut seed) = Seed::from_environment("native push, slow");
    let mut server = Server::new();
    let http = server.admin();
    // Chunks that are on their way are waited for by whoever asks about them for the same cache, and for no other.
    http.send_json(Method::POST, "/_api/v1/cache-config/other", &serde_json::json!({"keypair": "Generate"}))
        .await
        .expect(200);
    // More than a batch, so that the server works on it before there is more.
    let chunks: Vec<Vec<u8>> = (0..30).map(|_| seed.bytes(100_000)).collect();
    let digests: Vec<u8> = chunks.iter().flat_map(|chunk| *ChunkHash::of(chunk).as_bytes()).collect();
    let mut stream = push::MAGIC.to_vec();
    for chunk in &chunks {
        let frame = zstd::bulk::compress(chunk, 1).unwrap();
        let message = push::ChunkMessage { hash: ChunkHash::of(chunk), size: 100_000, frame: frame.into() };
        stream.extend(message.encode_head());
        stream.extend_from_slice(&message.frame);
    }
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let body = futures::stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) });
    let request = http.request(Method::POST, "/_flywheel/v1/caches/main/push").body(reqwest::Body::wrap_stream(body));
    let pushing = tokio::spawn(request.send());
    send.send(Ok(stream)).await.unwrap();

    let begin = Instant::now();
    while there(&http, &digests).await < 20 {
        assert!(begin.elapsed() < PATIENCE, "the chunks wait for the end of the stream");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!pushing.is_finished(), "the stream is still open");
    server.kill9();
    drop(send);
    assert!(pushing.await.unwrap().is_err());
    server.restart();
    assert!(there(&http, &digests).await >= 20);
}

/// How many of these chunks need not be sent.
async fn there(http: &Http, digests: &[u8]) -> usize {
    let question = http.request(Method::POST, "/_flywheel/v1/caches/other/missing-chunks").body(digests.to_vec());
    let missing = question.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    (0..digests.len() / 32).filter(|at| missing[at / 8] & (1 << (at % 8)) == 0).count()
}
