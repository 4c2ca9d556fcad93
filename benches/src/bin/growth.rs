//! Whether an index that grows gets slower: `growth [--paths N]… [--database KIND]…`.
//!
//! For each database, fills an index for each number of paths ([`benches::synthetic`]), starts a server on each, and asks them over
//! HTTP, taking turns: a narinfo that is there, and which of 1,000 paths are missing, half of which are there. PostgreSQL is
//! started for it, unless `FLYWHEEL_TEST_POSTGRES` names a server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use benches::{
    backend::Place,
    roles::{Programs, in_its_role},
    served::Served,
    synthetic::{Chance, Shape, fill, path},
    table::Table,
};
use clap::{Parser, ValueEnum};
use database::Database;

/// How many paths are asked about at once.
const ASKED: u64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Sqlite,
    Postgres,
}

/// Measures answers of the index at several sizes.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many paths; again for more
    #[arg(long, default_values_t = [1_000, 1_000_000])]
    paths: Vec<u64>,
    /// Which databases
    #[arg(long, value_enum, default_values_t = [Kind::Sqlite, Kind::Postgres])]
    database: Vec<Kind>,
    /// How many narinfos to ask for, of each index
    #[arg(long, default_value_t = 20_000)]
    narinfos: u64,
    /// How often to ask for what is missing, of each index
    #[arg(long, default_value_t = 500)]
    missing: u64,
}

/// A server with so many paths.
struct Subject {
    served: Served,
    paths: u64,
    /// Once all are filled: the server does not keep one for long on which nothing happens.
    connection: Option<Connection>,
    narinfos: Vec<f64>,
    missing: Vec<f64>,
    chance: Chance,
    fill_seconds: f64,
    _database: Option<scratch::Database>,
}

fn main() -> ExitCode {
    in_its_role(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let columns = ["database", "paths", "filled in s", "narinfo p50 ms", "p99 ms", "missing p50 ms", "p99 ms"];
    let mut table = Table::new(&columns);
    for &kind in &arguments.database {
        let mut subjects = Vec::new();
        for &paths in &arguments.paths {
            subjects.push(Subject::start(kind, paths)?);
        }
        for subject in &mut subjects {
            subject.connection = Some(Connection::open(subject.served.address())?);
        }
        for _ in 0..arguments.narinfos {
            for subject in &mut subjects {
                subject.ask_narinfo()?;
            }
        }
        for _ in 0..arguments.missing {
            for subject in &mut subjects {
                subject.ask_missing()?;
            }
        }
        for subject in &mut subjects {
            let mut cells =
                vec![format!("{kind:?}"), subject.paths.to_string(), format!("{:.0}", subject.fill_seconds)];
            for times in [&mut subject.narinfos, &mut subject.missing] {
                times.sort_by(f64::total_cmp);
                cells.extend([50, 99].map(|part| format!("{:.2}", percentile(times, part) * 1000.0)));
            }
            table.row(cells);
        }
    }
    print!("{}", table.markdown());
    Ok(())
}

fn percentile(sorted: &[f64], part: usize) -> f64 {
    sorted.get(sorted.len() * part / 100).copied().unwrap_or_default()
}

impl Subject {
    fn start(kind: Kind, paths: u64) -> anyhow::Result<Self> {
        // Every answer comes from the index: what is kept in memory would hide the small one.
        let config = "W2ZseXdoZWVsXQpuYXJpbmZvLWNhY2hlLXNpemUgPSAiMSBCIgo=";
        let database = (kind == Kind::Postgres).then(scratch::Database::new);
        let url = database.as_ref().map(scratch::Database::url);
        let mut environment = vec![("ATTIC_SERVER_CONFIG_BASE64".to_owned(), config.to_owned())];
        environment.extend(url.clone().map(|url| ("ATTIC_SERVER_DATABASE_URL".to_owned(), url)));
        let served = Served::start_at(Place::default(), &Programs::default(), &std::env::temp_dir(), &environment)?;
        let begun = Instant::now();
        tokio::runtime::Runtime::new()?.block_on(async {
            let index: Arc<dyn Database> = match &url {
                Some(url) => Arc::new(postgres::PostgresDatabase::connect(url, postgres::Options::default()).await?),
                None => Arc::new(sqlite::SqliteDatabase::open(served.scratch().join("data/index.sqlite")).await?),
            };
            let cache = index.find_cache(&"main".parse()?).await?.context("there is no cache main")?;
            let objects = served.scratch().join("data/store/objects");
            fill(&*index, cache.id, &objects, Shape { paths, chunks_each: 10, references_each: 4 }).await
        })?;
        let fill_seconds = begun.elapsed().as_secs_f64();
        Ok(Self {
            served,
            paths,
            connection: None,
            narinfos: Vec::new(),
            missing: Vec::new(),
            chance: Chance(9),
            fill_seconds,
            _database: database,
        })
    }

    fn ask_narinfo(&mut self) -> anyhow::Result<()> {
        let wanted = path(self.chance.below(self.paths))?;
        let request = format!("GET /main/{}.narinfo HTTP/1.1\r\nHost: localhost\r\n\r\n", wanted.hash());
        let begun = Instant::now();
        let (status, body) = self.connection.as_mut().context("it is connected by now")?.ask(&request)?;
        self.narinfos.push(begun.elapsed().as_secs_f64());
        anyhow::ensure!(status == 200 && body.starts_with(b"StorePath: "), "{wanted} answers {status}");
        Ok(())
    }

    fn ask_missing(&mut self) -> anyhow::Result<()> {
        // Every other one is beyond the last.
        let mut number = |at: u64| self.chance.below(self.paths) + self.paths * (at % 2);
        let hashes = (0..ASKED).map(|at| Ok(path(number(at))?.hash().to_string()));
        let hashes: Vec<String> = hashes.collect::<anyhow::Result<_>>()?;
        let body = serde_json::json!({ "cache": "main", "store_path_hashes": hashes }).to_string();
        let request = format!(
            "POST /_api/v1/get-missing-paths HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.served.token(),
            body.len()
        );
        let begun = Instant::now();
        let (status, body) = self.connection.as_mut().context("it is connected by now")?.ask(&request)?;
        self.missing.push(begun.elapsed().as_secs_f64());
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let missing = answer["missing_paths"].as_array().map_or(0, Vec::len) as u64;
        anyhow::ensure!(status == 200 && missing == ASKED / 2, "{status}, {missing} missing");
        Ok(())
    }
}

/// A connection that stays open, without anything that takes time of its own.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The status and the body.
    fn ask(&mut self, request: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).context("no status line")?.parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((status, body))
    }
}
