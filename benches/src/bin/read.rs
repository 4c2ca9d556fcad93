//! What reading takes, beside peers: `read --set NAME=FILE … --nginx --peer NAME=URL`, where FILE lists store paths, one a line.
//!
//! Starts a fresh server and pushes the sets to it. Whatever is measured is measured of every cache in turn, again and again, and
//! printed as medians with the least and the greatest. docs/performance.md says how to read it.

use std::{fs, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use benches::{
    attic,
    backend::{Backend, Services},
    board::Board,
    harmonia::{self, Harmonia},
    http::Connection,
    load::{Outcome, Until, load},
    machine::machine,
    nginx::Nginx,
    process::{as_many_files_as_allowed, forget_rss_peak, measure, rss_now},
    promoted::Promoting,
    roles::{Programs, in_its_role},
    scattered,
    served::Served,
    sets::DataSet,
    subject::Subject,
};
use clap::Parser;
use formats::StoreDir;

/// Reads data sets from a fresh server and from its peers, and tells what it took.
#[derive(Debug, Parser)]
struct Options {
    /// A data set: a name, and a file that lists store paths.
    #[arg(long = "set", value_name = "NAME=FILE", required = true, value_parser = DataSet::parse)]
    sets: Vec<DataSet>,
    /// Another cache that has the sets: a name, and where it is served, without TLS.
    #[arg(long = "peer", value_name = "NAME=URL", value_parser = pair)]
    peers: Vec<(String, String)>,
    /// Start nginx as a peer, in front of what `nix copy --to file://…?compression=zstd` makes of the sets.
    #[arg(long)]
    nginx: bool,
    /// Start harmonia as a peer, in front of this machine's store: its program `harmonia-cache`. It is asked for NARs as they are, and
    /// once more for compressed ones, which is how Nix asks.
    #[arg(long, value_name = "PROGRAM")]
    harmonia: Option<PathBuf>,
    /// Start Attic's server as a peer, and push the sets to it: its program `atticd`, with `atticadm` beside it.
    #[arg(long, value_name = "PROGRAM")]
    attic: Option<PathBuf>,
    /// What is below our server; given several times, several servers are measured, and the first of them is what others are compared with.
    #[arg(long = "on", value_enum, default_values = ["local"])]
    backends: Vec<Backend>,
    /// Set a variable for the server, such as another database or storage.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,
    /// How often.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many seconds each load of narinfos goes on.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Promote the sets, and read them through the view, too.
    #[arg(long)]
    view: bool,
    /// Also have real Nix copy each set into an empty store.
    #[arg(long)]
    nix_copy: bool,
    /// Also compare a NAR of a thousand extents with one that lies in one piece.
    #[arg(long)]
    extents: bool,
    /// How many idle connections to hold; each takes a file of this program and one of the server.
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Another server than the one that is built in.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// Where the server and nginx have their folders.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// A file for the medians and their ends, as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn pair(argument: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = argument.split_once('=').context("the form is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    in_its_role(|| run(&Options::parse()))
}

fn run(options: &Options) -> anyhow::Result<()> {
    let programs = Programs { server: options.server.clone(), client: None };
    let scratch = tempfile::Builder::new().prefix("flywheel-bench-").tempdir_in(&options.scratch)?;
    println!("{}", machine(scratch.path())?.markdown());
    // A line for each request is written by neither: nginx has `access_log off`.
    let mut environment = vec![("RUST_LOG".to_owned(), "info,http=off".to_owned())];
    environment.extend(options.environment.iter().cloned());
    let mut services = Services::new(scratch.path());
    let mut servers = Vec::new();
    for backend in &options.backends {
        let server = Served::start_at(services.place(*backend)?, &programs, &options.scratch, &environment)?;
        for set in &options.sets {
            push(&programs, &server, "native", set)?;
        }
        servers.push(server);
    }
    let nginx = options.nginx.then(|| Nginx::start(&options.sets, scratch.path())).transpose()?;
    let harmonia = options.harmonia.as_ref().map(|program| Harmonia::start(program, scratch.path())).transpose()?;
    let attic = options.attic.as_ref().map(|program| attic::start(program, &programs, scratch.path())).transpose()?;
    if let Some(attic) = &attic {
        for set in &options.sets {
            push(&programs, attic, "attic", set)?;
        }
    }
    let mut subjects = Vec::new();
    for (backend, server) in options.backends.iter().zip(&servers) {
        subjects.push(Subject::find(backend.name(), &server.cache(), Some(server.pid()), &options.sets, "")?);
    }
    let server = servers.first().context("no server")?;
    if options.view {
        promote(server, &options.sets)?;
        let view = format!("{}@stable", server.cache());
        subjects.push(Subject::find("view", &view, Some(server.pid()), &options.sets, "")?);
    }
    if let Some(nginx) = &nginx {
        subjects.push(Subject::find("nginx", &nginx.url(), Some(nginx.pid()), &options.sets, "")?);
    }
    if let Some(harmonia) = &harmonia {
        let (url, pid) = (harmonia.url(), Some(harmonia.pid()));
        subjects.push(Subject::find("harmonia", &url, pid, &options.sets, "")?);
        subjects.push(Subject::find("harmonia with zstd", &url, pid, &options.sets, harmonia::ZSTD)?);
    }
    if let Some(attic) = &attic {
        subjects.push(Subject::find("Attic", &attic.cache(), Some(attic.pid()), &options.sets, "")?);
    }
    for (name, url) in &options.peers {
        subjects.push(Subject::find(name, url, None, &options.sets, "")?);
    }
    let mut board = Board::default();
    // What pushing took is measured elsewhere.
    for server in &servers {
        forget_rss_peak(server.pid())?;
    }
    for run in 0..options.runs {
        eprintln!("run {} of {}", run + 1, options.runs);
        if run == 0 {
            // The first time is that of the disk, and of what is kept in memory.
            all_narinfos(&subjects, &mut Board::default())?;
        }
        all_narinfos(&subjects, &mut board)?;
        for connections in [1, 16, 64] {
            narinfos(options, &subjects, connections, &mut board)?;
        }
        for connections in [1, 4, 16] {
            nars(options, &subjects, connections, &mut board)?;
        }
        first_bytes(&subjects, &mut board)?;
        if options.nix_copy {
            nix_copy(options, &subjects, scratch.path(), &mut board)?;
        }
        for (at, server) in servers.iter().enumerate() {
            missing_paths(server, &subjects[at], at, &mut board)?;
        }
    }
    for (at, server) in servers.iter().enumerate() {
        board.add("RSS at its peak while reading, MB", 0, at, megabytes(server.rss_peak()?));
    }
    if options.extents {
        extents(options, &programs, server, scratch.path(), &mut board)?;
    }
    if options.idle > 0 {
        idle(options.idle, server, &subjects[0], &mut board)?;
    }
    let table = board.table(&subjects);
    println!("{}", table.markdown());
    if let Some(file) = &options.csv {
        fs::write(file, table.csv()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Points a public tag at all paths of the sets, by way of a path that refers to them.
fn promote(server: &Served, sets: &[DataSet]) -> anyhow::Result<()> {
    let paths = sets.iter().flat_map(|set| &set.paths);
    let paths: Vec<_> = paths.map(|path| StoreDir::default().parse_path(path)).collect::<Result<_, _>>()?;
    let promoting = Promoting::at(server.address(), server.token())?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let claim = promoting.claim(&promoting.push_root(&paths).await?).await?;
        promoting.clean(claim).await?;
        promoting.tag("stable", claim).await
    })
}

fn push(programs: &Programs, server: &Served, protocol: &str, set: &DataSet) -> anyhow::Result<()> {
    let list = server.scratch().join("paths");
    fs::write(&list, set.paths.join("\n"))?;
    let mut command = programs.client()?;
    command.args(["--quiet", "push", "main", "--stdin", "--protocol", protocol]).stdin(fs::File::open(&list)?);
    command.env("ATTIC_SERVER", format!("http://{}", server.address())).env("ATTIC_TOKEN", server.token());
    let usage = measure(&mut command)?;
    anyhow::ensure!(usage.status.success(), "the push of {} ended with {}", set.name, usage.status);
    Ok(())
}

/// Runs `work` for each cache, and adds what it took of CPU time in `unit`s, of which `amount` says how many there were.
fn with_cpu(
    subjects: &[Subject],
    board: &mut Board,
    measure: &str,
    digits: usize,
    mut work: impl FnMut(usize, &Subject, &mut Board) -> anyhow::Result<f64>,
) -> anyhow::Result<()> {
    for (at, subject) in subjects.iter().enumerate() {
        let before = subject.cpu_seconds()?;
        let amount = work(at, subject, board)?;
        if let (Some(before), Some(after)) = (before, subject.cpu_seconds()?) {
            board.add(measure, digits, at, (after - before) / amount);
        }
    }
    Ok(())
}

/// Every narinfo once, one after the other on one connection.
fn all_narinfos(subjects: &[Subject], board: &mut Board) -> anyhow::Result<()> {
    for (at, subject) in subjects.iter().enumerate() {
        let outcome = load(&subject.base, &subject.narinfos, 200, 1, Until::AllOnce)?;
        board.add(&format!("{} narinfos one by one, ms", subject.narinfos.len()), 1, at, outcome.seconds * 1e3);
    }
    Ok(())
}

fn narinfos(options: &Options, subjects: &[Subject], connections: usize, board: &mut Board) -> anyhow::Result<()> {
    let until = Until::Elapsed(Duration::from_secs_f64(options.seconds));
    for (kind, status) in [("narinfo", 200), ("missing narinfo", 404)] {
        let title = |what: &str| format!("{kind}, {connections} connections: {what}");
        with_cpu(subjects, board, &title("CPU µs each"), 1, |at, subject, board| {
            let requests = if status == 200 { &subject.narinfos } else { &subject.missing };
            let outcome = load(&subject.base, requests, status, connections, until)?;
            board.add(&title("a second"), 0, at, outcome.rate());
            for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
                board.add(&title(&format!("{name} ms")), 2, at, outcome.quantile(share) * 1e3);
            }
            Ok(count(outcome.latencies.len()) / 1e6)
        })?;
    }
    Ok(())
}

fn nars(options: &Options, subjects: &[Subject], connections: usize, board: &mut Board) -> anyhow::Result<()> {
    for (n, set) in options.sets.iter().enumerate() {
        let title = |what: &str| format!("NARs of {}, {connections} connections: {what}", set.name);
        with_cpu(subjects, board, &title("CPU s per GB"), 2, |at, subject, board| {
            let outcome = load(&subject.base, &subject.nars[n], 200, connections, Until::AllOnce)?;
            board.add(&title("s"), 3, at, outcome.seconds);
            board.add(&title("GB/s as sent"), 2, at, gigabytes(&outcome) / outcome.seconds);
            Ok(gigabytes(&outcome))
        })?;
    }
    Ok(())
}

/// The first byte of the largest NAR, and of its second half.
fn first_bytes(subjects: &[Subject], board: &mut Board) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (at, subject) in subjects.iter().enumerate() {
        let (url, size) = &subject.largest;
        let whole = subject.base.get(url, &subject.headers);
        let half = subject.base.get(url, &format!("Range: bytes={}-\r\n", size / 2));
        let (first, resumed) = runtime.block_on(async {
            let mut connection = Connection::open(subject.base.address).await?;
            let first = connection.ask(&whole, |_| {}).await?;
            let resumed = connection.ask(&half, |_| {}).await?;
            anyhow::Ok((first, resumed))
        })?;
        anyhow::ensure!(first.status == 200, "{}: status {} of {url}", subject.name, first.status);
        board.add("first byte of the largest NAR, ms", 2, at, first.first_byte * 1e3);
        // A peer need not know of ranges.
        if resumed.status == 206 {
            board.add("first byte of its second half, ms", 2, at, resumed.first_byte * 1e3);
        }
    }
    Ok(())
}

fn nix_copy(
    options: &Options,
    subjects: &[Subject],
    scratch: &std::path::Path,
    board: &mut Board,
) -> anyhow::Result<()> {
    for set in &options.sets {
        for (at, subject) in subjects.iter().enumerate() {
            let folder = tempfile::tempdir_in(scratch)?;
            let store = folder.path().join("store");
            let mut command = std::process::Command::new("nix");
            command.args(["--extra-experimental-features", "nix-command", "copy", "--no-check-sigs", "--from"]);
            command.arg(subject.base.url()).arg("--to").arg(&store).args(&set.paths);
            command.env("HOME", folder.path()).env("XDG_CACHE_HOME", folder.path());
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let usage = measure(&mut command)?;
            anyhow::ensure!(usage.status.success(), "nix copy from {} ended with {}", subject.name, usage.status);
            board.add(&format!("nix copy --from of {}, s", set.name), 2, at, usage.wall);
            // Store paths are read-only, folders too.
            let _ = std::process::Command::new("chmod").args(["-R", "u+w"]).arg(&store).status()?;
        }
    }
    Ok(())
}

/// A thousand hashes that nobody has, asked about at once: ours alone has such a question.
fn missing_paths(server: &Served, ours: &Subject, at: usize, board: &mut Board) -> anyhow::Result<()> {
    let hashes: Vec<String> = (0..1000).map(|n| format!("\"{n:032}\"")).collect();
    let json = format!("{{\"cache\":\"main\",\"store_path_hashes\":[{}]}}", hashes.join(","));
    let requests = Arc::new(vec![ours.base.post("_api/v1/get-missing-paths", server.token(), &json); 50]);
    let outcome = load(&ours.base, &requests, 200, 1, Until::AllOnce)?;
    board.add("get-missing-paths of 1,000 hashes: p50 ms", 2, at, outcome.quantile(0.5) * 1e3);
    board.add("get-missing-paths of 1,000 hashes: p99 ms", 2, at, outcome.quantile(0.99) * 1e3);
    Ok(())
}

fn extents(
    options: &Options,
    programs: &Programs,
    server: &Served,
    scratch: &std::path::Path,
    board: &mut Board,
) -> anyhow::Result<()> {
    let sets = scattered::sets(scratch)?;
    for set in &sets {
        push(programs, server, "native", set)?;
    }
    let subject = Subject::find("ours", &server.cache(), None, &sets, "")?;
    for _ in 0..options.runs {
        for (set, requests) in sets.iter().zip(&subject.nars).skip(1) {
            let outcome = load(&subject.base, requests, 200, 1, Until::AllOnce)?;
            let measure = format!("a NAR whose {} frames lie {}: GB/s", scattered::EXTENTS, set.name);
            board.add(&measure, 2, 0, gigabytes(&outcome) / outcome.seconds);
        }
    }
    Ok(())
}

/// Opens connections, each of which has asked once, and sees what they weigh.
fn idle(connections: usize, server: &Served, ours: &Subject, board: &mut Board) -> anyhow::Result<()> {
    as_many_files_as_allowed()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let before = rss_now(server.pid())?;
    let request = &ours.narinfos[0];
    let held = runtime.block_on(async {
        let mut held = Vec::with_capacity(connections);
        for _ in 0..connections {
            let mut connection = tokio::net::TcpStream::connect(ours.base.address).await?;
            tokio::io::AsyncWriteExt::write_all(&mut connection, request).await?;
            let mut answer = [0; 2048];
            let length = tokio::io::AsyncReadExt::read(&mut connection, &mut answer).await?;
            anyhow::ensure!(answer[..length].starts_with(b"HTTP/1.1 200"), "an idle connection got no answer");
            held.push(connection);
        }
        anyhow::Ok(held)
    })?;
    let after = rss_now(server.pid())?;
    let each = (megabytes(after) - megabytes(before)) * 1e3 / count(held.len());
    board.add(&format!("{connections} idle connections: KB each"), 1, 0, each);
    let outcome = load(&ours.base, &ours.narinfos, 200, 16, Until::AllOnce)?;
    board.add("narinfo beside them, 16 connections: a second", 0, 0, outcome.rate());
    Ok(())
}

fn gigabytes(outcome: &Outcome) -> f64 {
    benches::account::ratio(outcome.bytes, 1_000_000_000)
}

fn megabytes(bytes: u64) -> f64 {
    benches::account::ratio(bytes, 1_000_000)
}

fn count(number: usize) -> f64 {
    benches::account::ratio(number as u64, 1)
}
