//! What a bucket is asked for: each request costs money, and a round trip.

use std::{
    collections::BTreeMap,
    fs::File,
    sync::{Arc, Mutex},
    time::Instant,
};

use database::ChunkRuns;
use sqlx::{Connection, SqliteConnection};

use crate::harness::{
    Http, Node, Seed, Server, TestPath,
    cutting_proxy::CuttingProxy,
    nix::{clients, hash_part},
};

/// A request that writes, at most, for so many new bytes.
const BYTES_A_PUT: u64 = 16 << 20;
/// What is complete is acknowledged after this time, however little came by then.
const SECONDS_A_PUT: u64 = 8;
const CLIENT: &str = env!("CARGO_BIN_EXE_client-under-test");

/// The index is looked into, so it is always a file.
fn server() -> Server {
    Server::builder().config("[database]\nheartbeat = false\n").in_bucket().start()
}

/// Counts what the bucket is asked for, by method.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counter {
    pub(super) fn on(server: &Server) -> Self {
        let counter = Self::default();
        let counts = Arc::clone(&counter.0);
        server.service().disturb(move |asked| {
            *counts.lock().unwrap().entry(asked.method.to_owned()).or_default() += 1;
            None
        });
        counter
    }

    /// How many requests wrote something, as services count them: PUT and POST.
    fn puts(&self) -> u64 {
        let counts = self.0.lock().unwrap();
        ["PUT", "POST"].iter().filter_map(|method| counts.get(*method)).sum()
    }

    pub(super) fn gets(&self) -> u64 {
        let counts = self.0.lock().unwrap();
        ["GET", "HEAD"].iter().filter_map(|method| counts.get(*method)).sum()
    }
}

/// How many chunks the NAR of a path has, and in how many runs of neighbours they lie.
async fn extents(server: &Server, path: &str) -> (usize, u64) {
    let file = server.data_dir().join("index.sqlite");
    let mut index = SqliteConnection::connect(&format!("sqlite://{}?mode=ro", file.display())).await.unwrap();
    let manifest: Vec<u8> = sqlx::query_scalar(
        "SELECT manifest FROM nar JOIN path ON path.nar_id = nar.id WHERE lower(hex(path.hash)) = $1",
    )
    .bind(hex_of(path))
    .fetch_one(&mut index)
    .await
    .unwrap();
    let (mut count, mut extents, mut end) = (0, 0, (0, 0));
    for id in ChunkRuns::decode(&manifest).unwrap().ids() {
        let (pack, offset, size): (i64, i64, i64) =
            sqlx::query_as("SELECT pack_id, pack_offset, stored_size FROM chunk WHERE id = $1")
                .bind(id.0)
                .fetch_one(&mut index)
                .await
                .unwrap();
        count += 1;
        extents += u64::from((pack, offset) != end);
        end = (pack, offset + size);
    }
    (count, extents)
}

fn hex_of(hash_part: &str) -> String {
    let hash: formats::StorePathHash = hash_part.parse().unwrap();
    data_encoding::HEXLOWER.encode(hash.as_bytes())
}

/// Pulls a path; at most one GET for each of its extents.
async fn pull_by_extents(server: &Server, http: &Http, what: &str, hash: &str) {
    let key = http.public_key("main").await;
    let (chunks, extents) = extents(server, hash).await;
    let counter = Counter::on(server);
    let narinfo = http.pull("main", hash, &key).await.whole();
    let gets = counter.gets();
    let size = narinfo.info.nar_size;
    println!(
        "{what}: {gets} GETs for {size} bytes in {chunks} chunks, {extents} extents; one object for each 64 KiB: {}",
        size.div_ceil(64 << 10)
    );
    assert!(gets <= extents, "{what}: {gets} GETs for {extents} extents");
    assert!(counter.puts() == 0, "reading writes nothing");
}

fn report(what: &str, puts: u64, stored: u64) {
    let objects = stored.div_ceil(64 << 10);
    println!(
        "{what}: {puts} PUTs for {stored} new bytes, {:.1} a GB; one object for each 64 KiB: {objects}",
        puts as f64 * 1e9 / stored as f64
    );
}

#[tokio::test]
async fn a_large_nar_takes_few_requests() {
    let server = server();
    let path = TestPath::new("large", &Node::noise(&mut Seed::new(1, "requests"), 160 << 20));
    let before = server.stored_bytes();
    let counter = Counter::on(&server);
    server.admin().upload("main", &path).await.expect(200);
    let (puts, stored) = (counter.puts(), server.stored_bytes() - before);
    report("one NAR of 160 MiB, Attic's API", puts, stored);
    assert!(puts <= stored.div_ceil(BYTES_A_PUT), "{puts} requests for {stored} bytes");
    pull_by_extents(&server, &server.http(), "one NAR of 160 MiB", &path.hash()).await;
}

#[tokio::test]
async fn a_nar_of_which_much_is_there_takes_a_request_for_each_extent() {
    let server = server();
    let mut seed = Seed::new(2, "requests");
    let parts: Vec<Node> = (0..12).map(|_| Node::noise(&mut seed, 600_000)).collect();
    let path = |name: &str, which: &[usize]| {
        let entries = which.iter().enumerate().map(|(at, &part)| (format!("{at:02}"), parts[part].clone()));
        TestPath::new(name, &Node::directory(entries.collect::<Vec<_>>()))
    };
    // Alone, with new files between those that are there, and in another order.
    for (name, which) in
        [("first", &[0, 1, 2, 3, 4, 5][..]), ("second", &[0, 1, 6, 2, 7, 3]), ("third", &[6, 5, 4, 8, 0, 1])]
    {
        let path = path(name, which);
        server.admin().upload("main", &path).await.expect(200);
        pull_by_extents(&server, &server.http(), name, &path.hash()).await;
    }
}

/// What our own client has pushed.
struct Pushed {
    paths: Vec<String>,
    puts: u64,
    stored: u64,
    seconds: u64,
}

/// Pushes files of these lengths in one push of our own client, each a path of its own; at `rate` bytes a second, if one is said.
fn push(server: &Server, what: &str, lengths: &[usize], rate: Option<u64>) -> Option<Pushed> {
    let client = clients().into_iter().next()?;
    let nix = client.at_home(server, &[]);
    let root = nix.place("root");
    let mut seed = Seed::new(3, what);
    let files: Vec<String> = lengths
        .iter()
        .enumerate()
        .map(|(number, &length)| {
            let file = nix.place(&format!("file-{number}"));
            Node::noise(&mut seed, length).write_to(file.as_ref());
            file
        })
        .collect();
    let mut add = vec!["nix-store", "--store", &root, "--add"];
    add.extend(files.iter().map(String::as_str));
    let paths: Vec<String> = nix.ok(&add).lines().map(str::to_owned).collect();
    let list = nix.file("list", &paths.join("\n"));
    let proxy = rate.map(|rate| CuttingProxy::slow(server.address(), rate));
    let address = proxy.map_or(server.address(), |proxy| proxy.address());
    let mut command = nix.client(CLIENT, &root);
    command.args(["push", "main", "--stdin", "--protocol", "native"]);
    command.env("ATTIC_SERVER", format!("http://{address}"));
    command.env("ATTIC_TOKEN", server.token(&["--cache", "main"]));
    let before = server.stored_bytes();
    let counter = Counter::on(server);
    let begun = Instant::now();
    let pushed = command.stdin(File::open(&list).unwrap()).output().unwrap();
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    let (seconds, puts, stored) = (begun.elapsed().as_secs(), counter.puts(), server.stored_bytes() - before);
    println!("{what}: {seconds} s");
    report(what, puts, stored);
    Some(Pushed { paths, puts, stored, seconds })
}

/// As fast as it goes, paths of all sizes: nobody waits for one of them.
#[tokio::test]
async fn a_push_takes_a_request_for_what_makes_one_worth_it() {
    let mixed: Vec<usize> = (0..90).map(|number| if number % 30 == 0 { 20 << 20 } else { 250_000 }).collect();
    let pushes = [
        ("400 paths of 250 kB, native", vec![250_000; 400]),
        ("3 paths of 20 MiB among 87 of 250 kB, native", mixed),
        ("one path of 100 MiB, native", vec![100 << 20]),
        ("1,000 paths of 1 kB, native", vec![1000; 1000]),
    ];
    for (what, lengths) in pushes {
        let server = server();
        let Some(pushed) = push(&server, what, &lengths, None) else { return };
        assert!(pushed.puts <= pushed.stored.div_ceil(BYTES_A_PUT), "{what}: {} requests", pushed.puts);
        for path in pushed.paths.iter().step_by(97) {
            pull_by_extents(&server, &server.http(), "one of them", hash_part(path)).await;
        }
    }
}

/// Over a slow line what came is put away and acknowledged every few seconds, but not in small objects.
#[tokio::test]
async fn a_slow_push_makes_no_small_objects() {
    let server = server();
    let what = "160 paths of 250 kB at 2 MB/s, native";
    let Some(pushed) = push(&server, what, &[250_000; 160], Some(2_000_000)) else { return };
    // On a machine that is busy it comes more slowly still, and then the time is what counts.
    let waits = pushed.seconds / SECONDS_A_PUT;
    assert!(pushed.puts <= pushed.stored.div_ceil(BYTES_A_PUT) + waits, "{} requests", pushed.puts);
    for path in pushed.paths.iter().step_by(37) {
        pull_by_extents(&server, &server.http(), "one of them", hash_part(path)).await;
    }
}
