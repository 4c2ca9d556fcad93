//! A real server with a folder of its own.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Context;
use tempfile::TempDir;

use crate::{
    backend::Place,
    process::{Killed, cpu_seconds, rss_peak},
    promoted::POLICY,
    roles::Programs,
};

/// Far more than a start takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a public cache `main`, which promotes by [`POLICY`], and a token that may do everything there. It ends, and its folder goes, when this is dropped.
#[derive(Debug)]
pub struct Served {
    process: Killed,
    address: SocketAddr,
    token: String,
    folder: TempDir,
    /// Where its objects are as files, if that is known.
    objects: Option<PathBuf>,
    _place: Place,
}

impl Served {
    /// Starts one in a folder below `scratch`, and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(programs: &Programs, scratch: &Path) -> anyhow::Result<Self> {
        Self::start_at(Place::default(), programs, scratch, &[])
    }

    /// The same with its index and its bytes at `place`, and with these variables set.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_at(
        place: Place,
        programs: &Programs,
        scratch: &Path,
        environment: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("flywheel-bench-").tempdir_in(scratch)?;
        let data = folder.path().join("data");
        let policy = folder.path().join("policy.toml");
        fs::write(&policy, POLICY)?;
        let config = folder.path().join("server.toml");
        let promotion = format!("[flywheel.promotion]\npolicy-file = {:?}\n", policy.display().to_string());
        fs::write(&config, place.config() + &promotion)?;
        let server = || {
            let mut command = programs.server()?;
            command.envs(environment.iter().map(|(name, value)| (name, value)));
            command.envs(place.variables()).arg("--data-dir").arg(&data).arg("--config").arg(&config);
            std::io::Result::Ok(command)
        };
        let mut command = server()?;
        command.args(["--init-cache", "main", "--public"]);
        let (process, address) = spawn(command, folder.path())?;
        let make = ["token", "make", "--sub", "bench", "--cache", "main", "--validity", "1d", "--promote", "main"];
        let made = server()?.args(make).output()?;
        anyhow::ensure!(made.status.success(), "no token: {}", String::from_utf8_lossy(&made.stderr));
        let token = String::from_utf8(made.stdout)?.trim().to_owned();
        let objects = place.objects(&data);
        Ok(Self { process, address, token, folder, objects, _place: place })
    }

    /// A server of any make that has been started: where it listens, a token for it, its folder, and where in that its objects are.
    pub(crate) fn at(process: Killed, address: SocketAddr, token: String, folder: TempDir, objects: PathBuf) -> Self {
        Self { process, address, token, folder, objects: Some(objects), _place: Place::default() }
    }

    /// Starts the server that `command` is, which knows where its data is, and waits until it answers. Nobody has a token for it.
    ///
    /// # Errors
    /// It does not start.
    pub fn of(command: Command, scratch: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("flywheel-bench-").tempdir_in(scratch)?;
        let (process, address) = spawn(command, folder.path())?;
        Ok(Self { process, address, token: String::new(), folder, objects: None, _place: Place::default() })
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of its cache.
    #[must_use]
    pub fn cache(&self) -> String {
        format!("http://{}/main", self.address)
    }

    /// A token that may pull and push.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A folder that goes with the server, for what else a run needs.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The CPU seconds that it has taken so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.process.0.id())
    }

    /// The most memory that it has had so far, in bytes.
    ///
    /// # Errors
    /// It has ended.
    pub fn rss_peak(&self) -> anyhow::Result<u64> {
        rss_peak(self.process.0.id())
    }

    /// How many bytes and objects its storage has, if that is known here.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn stored(&self) -> anyhow::Result<Option<(u64, u64)>> {
        self.objects.as_deref().map(below).transpose()
    }
}

/// Starts a server whose log is in `folder`.
fn spawn(mut command: Command, folder: &Path) -> anyhow::Result<(Killed, SocketAddr)> {
    let log = folder.join("log");
    command.args(["--log-format", "json", "--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    let process = Killed(command.spawn()?);
    let started = Instant::now();
    loop {
        let text = fs::read_to_string(&log)?;
        if let Some(address) = text.lines().find_map(address_in) {
            return Ok((process, address));
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "the server did not start:\n{text}");
        sleep(Duration::from_millis(5));
    }
}

/// The address in the log line that says that the server is up.
fn address_in(line: &str) -> Option<SocketAddr> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    (event["message"] == "started").then(|| event["address"].as_str()?.parse().ok())?
}

fn below(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let (mut bytes, mut files) = (0, 0);
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let (more_bytes, more_files) = if metadata.is_dir() { below(&entry.path())? } else { (metadata.len(), 1) };
        bytes += more_bytes;
        files += more_files;
    }
    Ok((bytes, files))
}
