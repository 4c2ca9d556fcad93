//! A store of the test's own, a Nix that builds in it, and watchers that watch it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    Server,
    nix::{Nix, NixClient, clients},
};

const CLIENT: &str = env!("CARGO_BIN_EXE_client-under-test");
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Impatient watchers make quick tests.
const QUICK: [&str; 4] = ["--batch-idle", "100ms", "--batch-longest", "500ms"];
/// What finds paths: events of the kernel, or looking.
pub(super) const BY_EVENTS: [&str; 2] = ["--sweep-interval", "1h"];
pub(super) const BY_LOOKING: [&str; 2] = ["--sweep-interval", "300ms"];

/// `make COUNT` derivations whose names and contents have TAG in them; the one numbered FAILS fails, all take SECONDS.
const EXPRESSION: &str = r#"
{ tag, count, seconds ? "0", fails ? -1 }:
let
  make = number: derivation {
    name = "built-${tag}-${toString number}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    args = [ "-c" (
      if number == fails then "sleep 1; exit 1"
      else "sleep ${seconds}; mkdir $out; echo ${tag} ${toString number} > $out/text; echo $out > $out/itself"
    ) ];
  };
in builtins.genList make count
"#;

/// A server with a cache `ci`, and a Nix with a store of its own below the server's folder.
pub(super) struct Lab {
    pub(super) server: Server,
    nix: Nix,
    token: String,
    watchers: AtomicUsize,
}

/// What Nix did when it was told to build.
pub(super) struct Built {
    pub(super) paths: BTreeSet<String>,
    pub(super) status: ExitStatus,
}

impl Lab {
    /// With the first Nix that there is; none if there is none.
    pub(super) fn new() -> Option<Self> {
        clients().first().map(Self::with)
    }

    pub(super) fn with(client: &NixClient) -> Self {
        let server = Server::new();
        let nix = client.at_home(&server, &[]);
        for program in ["nix-build", "nix-store"] {
            let script = nix.file(&format!("bin/{program}"), &format!("#!/bin/sh\nexec nix {program} \"$@\"\n"));
            fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
        }
        nix.file("many.nix", EXPRESSION);
        let token = server.admin_token();
        let lab = Self { server, nix, token, watchers: AtomicUsize::new(0) };
        fs::create_dir_all(lab.store_dir()).unwrap();
        lab.client(&["cache", "create", "ci", "--public", "--store-dir", &lab.store_dir()]);
        assert!(lab.command("nix-store").arg("--init").status().unwrap().success());
        lab
    }

    pub(super) fn store_dir(&self) -> String {
        self.nix.place("nix/store")
    }

    /// A path in the home of everybody in the lab.
    pub(super) fn place(&self, name: &str) -> String {
        self.nix.place(name)
    }

    /// A program, in the environment of the lab and no other.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.place("bin"));
        command.env_clear().env("PATH", path).env("HOME", self.place("")).env("LC_ALL", "C.UTF-8").env("USER", "root");
        command.env("NIX_STORE_DIR", self.store_dir()).env("NIX_STATE_DIR", self.place("nix/var"));
        command.env("NIX_LOG_DIR", self.place("nix/log"));
        command.env("ATTIC_SERVER", self.server.url()).env("ATTIC_CACHE", "ci").env("ATTIC_TOKEN", &self.token);
        command.stdin(Stdio::null()).current_dir(self.place(""));
        command
    }

    /// Our client, to be completed.
    pub(super) fn client_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(CLIENT);
        command.args(arguments);
        command
    }

    /// Our client, which must succeed. Returns all that it says.
    #[track_caller]
    pub(super) fn client(&self, arguments: &[&str]) -> String {
        let output = self.client_command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, said(&output));
        said(&output)
    }

    /// The words with which `nix-build` builds.
    pub(super) fn build_words(&self, tag: &str, count: usize, more: &[&str]) -> Vec<String> {
        let (file, count) = (self.place("many.nix"), count.to_string());
        let words =
            ["nix-build", "--no-out-link", "-j", "4", "-k", &file, "--argstr", "tag", tag, "--arg", "count", &count];
        words.iter().chain(more).map(|&word| word.to_owned()).collect()
    }

    /// Builds, and fails unless that succeeds.
    #[track_caller]
    pub(super) fn build(&self, tag: &str, count: usize) -> BTreeSet<String> {
        let words = self.build_words(tag, count, &[]);
        let output = self.command(&words[0]).args(&words[1..]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        built(&output).paths
    }

    /// Runs `watch-exec` around a build.
    pub(super) fn watch_exec(&self, words: &[String], more: &[&str]) -> (Built, String) {
        let mut command = self.client_command(&["watch-exec"]);
        command.args(QUICK).args(more).arg("--").args(words);
        let output = command.output().unwrap();
        (built(&output), said(&output))
    }

    /// Starts `watch-store` and waits until it watches.
    pub(super) fn watch(&self, more: &[&str]) -> Watcher {
        let mut watcher = self.watch_at_once(more);
        until("the watcher to watch", || {
            let watching = watcher.log().contains("watching");
            assert!(watching || watcher.is_running(), "the watcher did not start:\n{}", watcher.log());
            watching
        });
        watcher
    }

    /// Starts `watch-store`.
    pub(super) fn watch_at_once(&self, more: &[&str]) -> Watcher {
        let number = self.watchers.fetch_add(1, Ordering::Relaxed);
        let log = PathBuf::from(self.place(&format!("watcher-{number}.log")));
        let file = File::create(&log).unwrap();
        let mut command = self.client_command(&["watch-store"]);
        command.args(QUICK).args(more).stdout(file.try_clone().unwrap()).stderr(file);
        Watcher { child: command.spawn().unwrap(), log }
    }

    /// The lines of all watchers so far.
    pub(super) fn logs(&self) -> String {
        let logs =
            (0..self.watchers.load(Ordering::Relaxed)).map(|number| self.place(&format!("watcher-{number}.log")));
        logs.map(|log| fs::read_to_string(log).unwrap()).collect()
    }

    /// Fails unless real Nix gets every one of these out of the cache, signed and whole.
    #[track_caller]
    pub(super) fn assert_cached(&self, paths: &BTreeSet<String>) {
        let config = self.client(&["cache", "info", "ci", "--json"]);
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        let key = config["public_key"].as_str().unwrap();
        let root = tempfile::tempdir_in(self.place("")).unwrap();
        let from = format!("{}/ci", self.server.url());
        let mut command = self.command("nix");
        command.args(["--extra-experimental-features", "nix-command", "copy", "--from", &from, "--to"]);
        command.arg(format!("local?root={0}&real={0}/real", root.path().display())).args([
            "--option",
            "trusted-public-keys",
            key,
        ]);
        // Nothing remembered from before.
        command.env("XDG_CACHE_HOME", root.path().join("cache")).args(paths);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}\n{}", said(&output), self.logs());
        for path in paths {
            let copy = root.path().join("real").join(base_name(path)).join("itself");
            assert_eq!(fs::read_to_string(copy).unwrap().trim_end(), path);
        }
    }

    /// How many paths the server has, in all caches.
    pub(super) async fn count_cached(&self) -> usize {
        usize::try_from(self.metric("flywheel_paths").await).unwrap()
    }

    /// A metric of the server, added up over its labels.
    pub(super) async fn metric(&self, name: &str) -> u64 {
        let metrics = self.server.http().get("/metrics").await.expect(200).text();
        let values = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix([' ', '{']));
        values.map(|rest| rest.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

/// A Nix that can be taken to another thread, and builds while the lab is busy with other things.
pub(super) struct Builder {
    environment: BTreeMap<OsString, OsString>,
    program: String,
    file: String,
    home: String,
}

impl Lab {
    pub(super) fn builder(&self) -> Builder {
        let command = self.command("nix-build");
        let set = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let (program, file) = (self.place("bin/nix-build"), self.place("many.nix"));
        Builder { environment: set.collect(), program, file, home: self.place("") }
    }
}

impl Builder {
    /// Builds so many, each of which takes so long, and fails unless that succeeds.
    #[track_caller]
    pub(super) fn build(&self, tag: &str, count: usize, seconds: &str) -> BTreeSet<String> {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(&self.environment).current_dir(&self.home).stdin(Stdio::null());
        command.args(["--no-out-link", "-j", "4", &self.file, "--argstr", "tag", tag, "--argstr", "seconds", seconds]);
        let output = command.args(["--arg", "count", &count.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        built(&output).paths
    }
}

/// A `watch-store` process. Killed when it is dropped.
pub(super) struct Watcher {
    child: Child,
    log: PathBuf,
}

impl Watcher {
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(super) fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits for the end; gives the exit code.
    #[track_caller]
    pub(super) fn end(mut self) -> i32 {
        until("the watcher to end", || !self.is_running());
        self.child.wait().unwrap().code().expect("no signal ended it")
    }

    /// Waits until it has sent so many paths.
    #[track_caller]
    pub(super) fn until_sent(&self, count: usize) {
        until("the watcher to send", || pushed(&self.log()).len() >= count);
    }

    #[track_caller]
    pub(super) fn until_says(&self, what: &str) {
        until(what, || self.log().contains(what));
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- {}\n{}\n----", self.log.display(), self.log());
        }
    }
}

/// The base names of the paths that a log says were pushed, one for each line with the word.
pub(super) fn pushed(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.to_lowercase().contains("push"));
    lines
        .map(|line| {
            let path = line.strip_prefix("pushed ").and_then(|rest| rest.split(' ').next());
            path.unwrap_or_else(|| panic!("a line that scripts would miscount: {line}")).to_owned()
        })
        .collect()
}

/// Fails unless the log has exactly one line for each of `paths`.
#[track_caller]
pub(super) fn assert_pushed_once(log: &str, paths: &BTreeSet<String>) {
    let mut told = pushed(log);
    told.sort();
    let expected: BTreeSet<String> = paths.iter().map(|path| base_name(path)).collect();
    assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{log}");
}

pub(super) fn base_name(path: &str) -> String {
    Path::new(path).file_name().unwrap().to_str().unwrap().to_owned()
}

/// Waits for the next second: the time of a registration is not known better than that.
pub(super) fn next_second() {
    sleep(Duration::from_millis(1100));
}

/// Polls until it is so, and fails if it takes absurdly long.
#[track_caller]
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(20));
    }
}

pub(super) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn built(output: &Output) -> Built {
    let paths = String::from_utf8_lossy(&output.stdout);
    let paths = paths.lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect();
    Built { paths, status: output.status }
}
