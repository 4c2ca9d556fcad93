//! A server of a test's own.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Database, psql};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/postgres");

/// A PostgreSQL server with data of its own. Stopped when it is dropped, or when this process ends in whatever way.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    settings: Vec<String>,
    url: String,
    running: Option<(Child, ChildStdin)>,
}

impl Server {
    /// Starts a server with these settings (`"ssl=on"`, …) beside the usual ones.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(settings: &[&str]) -> Self {
        let mut server = Self::stopped(settings);
        server.start_again();
        server
    }

    /// A server before its first start, so that files can be put beside its data.
    ///
    /// # Panics
    /// If there is no place for it.
    #[must_use]
    pub fn stopped(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("flywheel-postgres-").tempdir_in("/tmp").expect("/tmp has room");
        // Whoever PostgreSQL runs as makes its own folder in it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        Self { folder, settings, url: String::new(), running: None }
    }

    /// Adds a setting that holds from the next start on.
    pub fn set(&mut self, setting: String) {
        self.settings.push(setting);
    }

    /// Its address without a database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A folder that it may read.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An empty database on it.
    #[must_use]
    pub fn database(&self) -> Database {
        Database::on(&self.url)
    }

    /// Starts it on the data that it has, at the address that it had.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let mut command = Command::new(SCRIPT);
        command.arg("--folder").arg(self.folder.path());
        if let Some((_, port)) = self.url.rsplit_once(':') {
            command.args(["--port", port]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let (url, child, input) = spawn(command);
        self.url = url;
        self.running = Some((child, input));
    }

    /// Stops it in order: it ends every connection, and leaves its data as it should be.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self) {
        if let Some((mut child, input)) = self.running.take() {
            drop(input);
            child.wait().expect("it is our child");
        }
    }

    /// Ends it on the spot, as a crash of the machine would; the next start recovers from its log.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill9(&mut self) {
        // Its children end by themselves when they see that it is gone.
        kill_process(self.pid(), Signal::KILL).expect("it runs");
        self.stop();
    }

    /// Stops every process that serves a connection without ending it: the server is there and does not answer.
    ///
    /// # Panics
    /// If it does not run.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Ends what [`Server::freeze`] began.
    ///
    /// # Panics
    /// If it does not run.
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// What it says to a statement, as its superuser.
    ///
    /// # Panics
    /// If it fails.
    pub fn ask(&self, sql: &str) -> String {
        psql(&format!("{}/postgres", self.url), sql)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn pid(&self) -> Pid {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).expect("it runs");
        let pid = file.lines().next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        pid.expect("the file begins with a number")
    }

    fn signal_all(&self, signal: Signal) {
        let parent = self.pid();
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.as_raw_nonzero()));
        for child in children.expect("Linux tells").split_ascii_whitespace() {
            let child = child.parse().ok().and_then(Pid::from_raw).expect("a number");
            // One that ended in between needs no signal.
            let _ = kill_process(child, signal);
        }
        kill_process(parent, signal).expect("it runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a server that lives and leaves no trace when this process ends, since nobody holds the other end of its input then;
/// its address.
pub(crate) fn for_this_process() -> String {
    let (url, _, input) = spawn(Command::new(SCRIPT));
    std::mem::forget(input);
    url
}

/// Lets the script run until nobody holds the other end of its input.
fn spawn(mut script: Command) -> (String, Child, ChildStdin) {
    script.args(["sh", "-c", "echo \"$FLYWHEEL_TEST_POSTGRES\"; exec cat >/dev/null"]);
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("scripts/postgres is there");
    let output = child.stdout.take().expect("it is piped");
    let mut url = String::new();
    BufReader::new(output).read_line(&mut url).expect("it says something or ends");
    assert!(!url.is_empty(), "PostgreSQL did not start");
    let input = child.stdin.take().expect("it is piped");
    (url.trim_end().to_owned(), child, input)
}
