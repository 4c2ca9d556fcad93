//! What a push takes: `push --set NAME=FILE …`, where FILE lists store paths, one a line.
//!
//! For each run a fresh server; the runs of sets and ways of pushing take turns. Prints medians with the least and the greatest, and
//! beside them what the same work takes by itself on this machine. docs/performance.md says how to read it.

use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Context;
use benches::{
    account::{Account, ratio},
    attic,
    backend::{Backend, Services},
    process::{Usage, measure},
    proxy::Proxy,
    roles::{Programs, in_its_role},
    served::Served,
    sets::{DataSet, attic_once},
    table::{Samples, Table},
};
use clap::Parser;
use protocol::ChunkSizes;

/// Pushes data sets to fresh servers, and tells what it took.
#[derive(Debug, Parser)]
struct Options {
    /// A data set: a name, and a file that lists store paths.
    #[arg(long = "set", value_name = "NAME=FILE", required = true, value_parser = DataSet::parse)]
    sets: Vec<DataSet>,
    /// A way of pushing; may be given several times.
    #[arg(long = "way", value_enum, default_values = ["native", "attic"])]
    ways: Vec<Way>,
    /// What is below our server; may be given several times.
    #[arg(long = "on", value_enum, default_values = ["local"])]
    backends: Vec<Backend>,
    /// Also push to Attic's server, by its protocol: its program `atticd`, with `atticadm` beside it.
    #[arg(long, value_name = "PROGRAM")]
    attic: Option<PathBuf>,
    /// How often.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The zstd level of native push, if not the server's.
    #[arg(long)]
    level: Option<i32>,
    /// Another server than the one that is built in.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// Another client than the one that is built in.
    #[arg(long, value_name = "PROGRAM")]
    client: Option<PathBuf>,
    /// Where the servers have their folders.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// A file for every single figure, as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
}

/// A way of pushing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// Our client, native push.
    Native,
    /// Our client, Attic's protocol.
    Attic,
    /// `nix copy --to`, uncompressed.
    NixCopy,
}

/// A way of pushing, and where to.
#[derive(Debug, Clone, Copy)]
struct Case {
    way: Way,
    /// None is Attic's server.
    backend: Option<Backend>,
}

impl Case {
    /// All that are asked for.
    fn all(options: &Options) -> Vec<Self> {
        let ours = |backend: &Backend| {
            let backend = Some(*backend);
            options.ways.iter().map(move |way| Self { way: *way, backend })
        };
        let attic = options.attic.iter().map(|_| Self { way: Way::Attic, backend: None });
        options.backends.iter().flat_map(ours).chain(attic).collect()
    }

    fn name(self) -> String {
        let way = match self.way {
            Way::Native => "native",
            Way::Attic => "Attic's protocol",
            Way::NixCopy => "nix copy",
        };
        match self.backend {
            Some(Backend::Local) => way.to_owned(),
            Some(backend) => format!("{way}, {}", backend.name()),
            None => "Attic's server".to_owned(),
        }
    }

    /// A fresh server for it.
    fn start(self, options: &Options, programs: &Programs, services: &mut Services) -> anyhow::Result<Served> {
        match (self.backend, &options.attic) {
            (Some(backend), _) => Served::start_at(services.place(backend)?, programs, &options.scratch, &[]),
            (None, Some(program)) => attic::start(program, programs, &options.scratch),
            (None, None) => anyhow::bail!("there is no program of Attic's"),
        }
    }
}

fn main() -> ExitCode {
    in_its_role(|| run(&Options::parse()))
}

/// The figures of one set pushed one way, one sample a run.
#[derive(Debug, Default)]
struct Figures {
    wall: Samples,
    nix: Samples,
    client_cpu: Samples,
    server_cpu: Samples,
    client_rss: Samples,
    server_rss: Samples,
    sent: Samples,
    received: Samples,
    stored: Samples,
    objects: Samples,
    requests: Samples,
}

const SINGLE: [&str; 12] = [
    "set",
    "way",
    "where",
    "run",
    "wall_s",
    "path_info_s",
    "client_cpu_s",
    "server_cpu_s",
    "client_rss_bytes",
    "server_rss_bytes",
    "stored_bytes",
    "requests",
];

fn run(options: &Options) -> anyhow::Result<()> {
    let programs = Programs { server: options.server.clone(), client: options.client.clone() };
    let cores = std::thread::available_parallelism()?.get();
    let level = options.level.unwrap_or(3);
    let accounts: Vec<Account> = options
        .sets
        .iter()
        .map(|set| Account::take(set, ChunkSizes::default(), level))
        .collect::<anyhow::Result<_>>()?;
    let cases = Case::all(options);
    let mut services = Services::new(&options.scratch);
    let mut figures: Vec<Vec<Figures>> =
        options.sets.iter().map(|_| cases.iter().map(|_| Figures::default()).collect()).collect();
    let mut single = Table::new(&SINGLE);
    // What goes over the wire is counted by a proxy, which takes CPU time from the others: one push each, and no time is taken of it.
    for (set, figures) in options.sets.iter().zip(&mut figures) {
        for (case, figures) in cases.iter().zip(figures) {
            count_bytes(options, &programs, set, *case, &mut services, figures)?;
        }
    }
    for run in 0..options.runs {
        for (set, figures) in options.sets.iter().zip(&mut figures) {
            for (case, figures) in cases.iter().zip(figures) {
                let cells = once(options, &programs, set, *case, &mut services, figures)?;
                let place = case.backend.map_or("attic's server", Backend::name);
                let way = format!("{:?}", case.way).to_lowercase();
                let about = [set.name.clone(), way, place.to_owned(), run.to_string()];
                single.row(about.into_iter().chain(cells.iter().map(f64::to_string)).collect());
                eprintln!("{} {}: {:.2} s", set.name, case.name(), cells[0]);
            }
        }
    }
    println!("{}", account_table(&options.sets, &accounts, level).markdown());
    println!("{}", result_table(options, &cases, &accounts, &figures, cores).markdown());
    if let Some(file) = &options.csv {
        fs::write(file, single.csv()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// One push to a fresh server through a counting proxy.
fn count_bytes(
    options: &Options,
    programs: &Programs,
    set: &DataSet,
    case: Case,
    services: &mut Services,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let server = case.start(options, programs, services)?;
    let proxy = Proxy::start(server.address())?;
    let (usage, _) = push(options, programs, set, case.way, &server, &format!("http://{}", proxy.address()))?;
    anyhow::ensure!(usage.status.success(), "the push of {} ended with {}", set.name, usage.status);
    let passed = proxy.passed();
    figures.sent.add(count(passed.to_server));
    figures.received.add(count(passed.to_client));
    Ok(())
}

/// One push to a fresh server. Gives the cells of a single figure.
fn once(
    options: &Options,
    programs: &Programs,
    set: &DataSet,
    case: Case,
    services: &mut Services,
    figures: &mut Figures,
) -> anyhow::Result<[f64; 8]> {
    let nix = set.path_info_seconds()?;
    let server = case.start(options, programs, services)?;
    let url = format!("http://{}", server.address());
    let before = server.cpu_seconds()?;
    let started = Instant::now();
    let (usage, requests) = push(options, programs, set, case.way, &server, &url)?;
    let wall = if case.way == Way::NixCopy { started.elapsed().as_secs_f64() } else { usage.wall };
    anyhow::ensure!(usage.status.success(), "the push of {} ended with {}", set.name, usage.status);
    // Of a bucket elsewhere nobody knows here.
    let (stored, objects) = server.stored()?.unwrap_or_default();
    let mut note = |samples: fn(&mut Figures) -> &mut Samples, value: f64| {
        samples(figures).add(value);
        value
    };
    note(|f| &mut f.objects, count(objects));
    Ok([
        note(|f| &mut f.wall, wall),
        note(|f| &mut f.nix, nix),
        note(|f| &mut f.client_cpu, usage.cpu),
        note(|f| &mut f.server_cpu, server.cpu_seconds()? - before),
        note(|f| &mut f.client_rss, count(usage.rss)),
        note(|f| &mut f.server_rss, count(server.rss_peak()?)),
        note(|f| &mut f.stored, count(stored)),
        note(|f| &mut f.requests, requests),
    ])
}

/// Pushes to `url`. Gives what it took, and the requests as far as they are known.
fn push(
    options: &Options,
    programs: &Programs,
    set: &DataSet,
    way: Way,
    server: &Served,
    url: &str,
) -> anyhow::Result<(Usage, f64)> {
    if way == Way::NixCopy {
        return Ok((nix_copy(set, server, url)?, 0.0));
    }
    let list = server.scratch().join("paths");
    fs::write(&list, set.paths.join("\n"))?;
    let report = server.scratch().join("report");
    let mut command = programs.client()?;
    command.args(["--quiet", "push", "main", "--stdin", "--json", "--protocol"]);
    command.arg(if way == Way::Native { "native" } else { "attic" });
    if let Some(level) = options.level {
        command.arg(format!("--level={level}"));
    }
    command.env("ATTIC_SERVER", url).env("ATTIC_TOKEN", server.token());
    command.stdin(fs::File::open(&list)?).stdout(fs::File::create(&report)?);
    let usage = measure(&mut command)?;
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&report)?).context("the client's report")?;
    let requests = report["requests"].as_f64().context("the client's report tells no requests")?;
    Ok((usage, requests))
}

fn nix_copy(set: &DataSet, server: &Served, url: &str) -> anyhow::Result<Usage> {
    let home = server.scratch().join("home");
    fs::create_dir_all(&home)?;
    let address = url.strip_prefix("http://").unwrap_or(url);
    let host = address.split(':').next().unwrap_or(address);
    let netrc = server.scratch().join("netrc");
    fs::write(&netrc, format!("machine {host} login bench password {}\n", server.token()))?;
    let mut last = None;
    for some in set.paths.chunks(1500) {
        let mut command = std::process::Command::new("nix");
        command.args(["--extra-experimental-features", "nix-command", "--option", "netrc-file"]).arg(&netrc);
        command.args(["copy", "--to", &format!("{url}/main?compression=none")]).args(some);
        command.env("HOME", &home).env("XDG_CACHE_HOME", &home);
        let usage = measure(&mut command)?;
        anyhow::ensure!(usage.status.success(), "nix copy ended with {}", usage.status);
        last = Some(usage);
    }
    last.context("an empty data set")
}

fn account_table(sets: &[DataSet], accounts: &[Account], level: i32) -> Table {
    let mut table = Table::new(&[
        "one core, CPU s",
        "NAR MB",
        "distinct MB",
        &format!("compressed MB (level {level})"),
        "read",
        "cut",
        "BLAKE3",
        "zstd",
        "unzstd",
        "SHA-256",
        "SHA-256 of stored",
    ]);
    for (set, account) in sets.iter().zip(accounts) {
        let bytes = [account.nar_bytes, account.new_bytes, account.compressed_bytes].map(megabytes);
        let parts = [account.read, account.cut, account.name, account.compress, account.decompress];
        let parts = parts.into_iter().chain([account.hash, account.hash_stored]);
        let cells = bytes.into_iter().map(|mb| format!("{mb:.1}")).chain(parts.map(|s| format!("{s:.2}")));
        table.row([set.name.clone()].into_iter().chain(cells).collect());
    }
    table
}

fn result_table(
    options: &Options,
    cases: &[Case],
    accounts: &[Account],
    figures: &[Vec<Figures>],
    cores: usize,
) -> Table {
    let mut table = Table::new(&[
        "set, protocol",
        "wall s",
        "of that nix path-info s",
        "limit s",
        "share of the limit",
        "client, server CPU s",
        "client, server RSS MB",
        "sent, received MB",
        "stored MB",
        "objects",
        "requests",
        "Attic's wall s, and ours as a share",
    ]);
    for ((set, account), figures) in options.sets.iter().zip(accounts).zip(figures) {
        for (case, figures) in cases.iter().zip(figures) {
            let own = (figures.wall.median() - figures.nix.median()).max(0.0);
            let limit = match case.way {
                Way::Native => Some(account.native()),
                Way::Attic => Some(account.attic()),
                // What Nix does is its own affair.
                Way::NixCopy => None,
            };
            let limit = limit.map(|cpu| cpu / count(cores as u64));
            let peer = attic_once(&set.name);
            let pair =
                |one: &Samples, other: &Samples| format!("{:.0}, {:.0}", one.median() / 1e6, other.median() / 1e6);
            table.row(vec![
                format!("{}, {}", set.name, case.name()),
                figures.wall.show(2),
                figures.nix.show(2),
                limit.map_or_else(String::new, |limit| format!("{limit:.2}")),
                limit.map_or_else(String::new, |limit| format!("{:.0} %", 100.0 * limit / own)),
                format!("{}, {}", figures.client_cpu.show(2), figures.server_cpu.show(2)),
                pair(&figures.client_rss, &figures.server_rss),
                format!("{:.1}, {:.2}", figures.sent.median() / 1e6, figures.received.median() / 1e6),
                figures.stored.scaled(1e-6).show(1),
                figures.objects.show(0),
                figures.requests.show(0),
                peer.map_or_else(String::new, |peer| format!("{:.1}; 1/{:.1}", peer.wall, peer.wall / own)),
            ]);
        }
    }
    table
}

fn megabytes(bytes: u64) -> f64 {
    ratio(bytes, 1_000_000)
}

fn count(number: u64) -> f64 {
    ratio(number, 1)
}
