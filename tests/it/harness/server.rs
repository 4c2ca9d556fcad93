//! The server as a process.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use storage::Key;
use tempfile::TempDir;

use super::{Backing, Http};

/// How long the server may take to start or to stop when it is told to, which is far more than it needs.
const PATIENCE: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_server-under-test");

/// A server to be started.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    config: Option<String>,
    database: Option<Arc<scratch::Database>>,
    in_bucket: bool,
}

impl Builder {
    /// Starts it with this `server.toml`. Whatever it gives no place to goes to the server's own folder.
    #[must_use]
    pub(crate) fn config(mut self, toml: impl Into<String>) -> Self {
        self.config = Some(toml.into());
        self
    }

    /// Starts it on a database that others may be on, too.
    #[must_use]
    pub(crate) fn database(mut self, database: Arc<scratch::Database>) -> Self {
        self.database = Some(database);
        self
    }

    /// Has it keep its packs in a bucket of its own, whatever the environment asks for.
    #[must_use]
    pub(crate) fn in_bucket(mut self) -> Self {
        self.in_bucket = true;
        self
    }

    /// Starts the server, which has a public cache `main` from its first start, and waits until it answers.
    pub(crate) fn start(self) -> Server {
        let mut server = self.stopped();
        server.start();
        server
    }

    /// The server before its first start.
    pub(crate) fn stopped(mut self) -> Server {
        // The whole suite runs on either database; a test that says which one is left alone.
        let says = self.database.is_some() || self.config.as_ref().is_some_and(|config| config.contains("[database]"));
        if !says && std::env::var_os("FLYWHEEL_TEST_DATABASE").is_some_and(|database| database == "postgres") {
            self.database = Some(Arc::new(scratch::Database::new()));
        }
        let folder = tempfile::Builder::new().prefix("flywheel-it-").tempdir_in("/tmp").unwrap();
        let data_dir = folder.path().join("data");
        let backing = if self.in_bucket { Backing::own(&data_dir) } else { Backing::asked(&data_dir) };
        if let Some(bucket) = backing.config() {
            self.config = Some(format!("{}\n{bucket}", self.config.unwrap_or_default()));
        }
        if let Some(config) = &self.config {
            fs::write(folder.path().join("server.toml"), config).unwrap();
        }
        Server { folder, address: None, child: None, builder: self, backing }
    }
}

/// A server process with a data folder of its own. Killed when it is dropped, and its log is shown if the test failed.
#[derive(Debug)]
pub(crate) struct Server {
    folder: TempDir,
    address: Option<SocketAddr>,
    child: Option<Child>,
    builder: Builder,
    backing: Backing,
}

impl Server {
    /// A server as it comes without any configuration.
    pub(crate) fn new() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:PORT`, the same for all of the server's life.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("the server was started")
    }

    /// Where the server keeps everything.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The address of its index.
    pub(crate) fn index_url(&self) -> String {
        match &self.builder.database {
            Some(database) => database.url(),
            None => format!("sqlite://{}", self.data_dir().join("index.sqlite").display()),
        }
    }

    /// Has it look for its index in another database from its next start on, or in its own file; the one before, if it was no file.
    pub(crate) fn move_index(&mut self, to: Option<Arc<scratch::Database>>) -> Option<Arc<scratch::Database>> {
        std::mem::replace(&mut self.builder.database, to)
    }

    /// Takes the index away, whichever database it is in. The server must be down.
    pub(crate) fn lose_index(&self) {
        if let Some(database) = &self.builder.database {
            database.ask("DROP SCHEMA public CASCADE");
            database.ask("CREATE SCHEMA public");
        }
        for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
            let _ = fs::remove_file(self.data_dir().join(file));
        }
    }

    /// A folder that lives as long as the server, for what else the test needs.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Speaks to the server without any token.
    pub(crate) fn http(&self) -> Http {
        Http::new(&self.url())
    }

    /// Speaks to the server as somebody who may do everything.
    pub(crate) fn admin(&self) -> Http {
        self.http().with_token(&self.admin_token())
    }

    /// A token with which one may do everything.
    pub(crate) fn admin_token(&self) -> String {
        let all =
            ["--pull", "--push", "--delete", "--create-cache", "--configure-cache", "--configure-cache-retention"];
        let mut options = vec!["--sub", "admin", "--validity", "1d"];
        for permission in all.into_iter().chain(["--destroy-cache"]) {
            options.extend([permission, "*"]);
        }
        self.token(&options)
    }

    /// What `token make` with these options prints.
    pub(crate) fn token(&self, options: &[&str]) -> String {
        let output = self.command().args(["token", "make"]).args(options).output().unwrap();
        assert!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The server's program with its configuration and data folder, for other verbs than serving.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path());
        command.arg("--data-dir").arg(self.data_dir());
        if self.builder.config.is_some() {
            command.arg("-f").arg(self.folder.path().join("server.toml"));
        }
        if let Some(database) = &self.builder.database {
            command.env("ATTIC_SERVER_DATABASE_URL", database.url());
        }
        command.stdin(Stdio::null());
        command
    }

    /// What the server wrote to its log so far, over all its restarts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// How many bytes lie in the storage, objects added up.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.objects().values().sum()
    }

    /// Every object in the storage, with its length.
    pub(crate) fn objects(&self) -> BTreeMap<Key, u64> {
        self.backing.objects(&self.data_dir())
    }

    /// The service that its bucket is at; it was built with [`Builder::in_bucket`].
    pub(crate) fn service(&self) -> &bucket::Service {
        match &self.backing {
            Backing::Own(service) => service,
            other => panic!("the server has no service of its own: {other:?}"),
        }
    }

    /// Where it keeps its packs.
    pub(crate) fn backing(&self) -> &Backing {
        &self.backing
    }

    /// The most memory that the running process ever had, in bytes.
    pub(crate) fn rss_peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells the peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Ends the process on the spot, as a crash of the machine would.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks the server to stop, and goes on.
    pub(crate) fn signal_stop(&self) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Asks the server to stop and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal_stop();
        self.wait()
    }

    /// Waits until the server, which was told to stop, has stopped.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("the server runs");
        let status = patiently("the server to stop", || child.try_wait().unwrap());
        self.child = None;
        status
    }

    /// Whether the process is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Starts it, again on the same data and the same port if it ran before; kills it first if it still runs.
    pub(crate) fn restart(&mut self) {
        self.kill9();
        self.start();
    }

    /// Kills it and starts it again, and does not wait until it is up.
    pub(crate) fn restart_at_once(&mut self) {
        self.kill9();
        self.spawn();
    }

    /// Starts it again and kills it so much later, whether it was up by then or not.
    pub(crate) fn start_and_kill9(&mut self, after: Duration) {
        self.spawn();
        sleep(after);
        self.kill9();
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts it and waits until its log says this.
    pub(crate) fn start_until(&mut self, said: &str) {
        let logged = self.log().len();
        self.spawn();
        patiently(said, || {
            let log = self.log();
            assert!(self.is_running(), "the server did not start:\n{}", &log[logged..]);
            log[logged..].contains(said).then_some(())
        });
    }

    /// Waits until a server that is starting has started.
    pub(crate) fn wait_until_started(&mut self) {
        self.wait_started(0);
    }

    fn start(&mut self) {
        let logged = self.log().len();
        self.spawn();
        self.wait_started(logged);
    }

    fn wait_started(&mut self, logged: usize) {
        // The log says on which port it listens, and says it no earlier than it does.
        let address = patiently("the server to start", || {
            let log = self.log();
            let started = log[logged..].lines().find_map(started);
            assert!(started.is_some() || self.is_running(), "the server did not start:\n{}", &log[logged..]);
            started
        });
        self.address = Some(address);
    }

    fn spawn(&mut self) {
        let listen = self.address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.command();
        command.args(["--log-format", "json", "--listen", &listen.to_string()]);
        if self.builder.config.is_some() {
            command.args(["--init-cache", "main", "--public"]);
        }
        command.stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    fn name(&self) -> String {
        self.address.map_or_else(|| "a server that never started".to_owned(), |address| format!("http://{address}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(60)..];
            eprintln!("---- the end of the log of {}\n{}\n----", self.name(), end.join("\n"));
        }
    }
}

/// The address in the log line that says that the server is up.
fn started(line: &str) -> Option<SocketAddr> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    (event["message"] == "started").then(|| event["address"].as_str()?.parse().ok())?
}

/// Polls until there is something, and fails if it takes absurdly long.
#[track_caller]
pub(super) fn patiently<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(10));
    }
}
