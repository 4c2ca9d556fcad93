//! Garage, a distributed S3 service, as processes of one or three nodes.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{ACCESS_KEY_ID, BUCKET, REGION, SECRET_ACCESS_KEY};

/// How long a cluster may take to be up, which is far more than it needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the nodes share.
const RPC_SECRET: &str = "b597a4ec8e4f6b7ee4a2f0cc0e7dd4c0c7a0a0c8a1ab8e6a6d6a1cc39cb4e0a1";

/// A cluster with a bucket and a key. Its nodes are killed when it is dropped.
#[derive(Debug)]
pub struct Garage {
    program: PathBuf,
    nodes: Vec<Node>,
    is_laid_out: bool,
    _folder: TempDir,
}

#[derive(Debug)]
struct Node {
    config: PathBuf,
    ports: Ports,
    child: Option<Child>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    rpc: u16,
    s3: u16,
    admin: u16,
}

impl Garage {
    /// The program that `GARAGE` in the environment names, if it names one.
    #[must_use]
    pub fn program() -> Option<PathBuf> {
        std::env::var_os("GARAGE").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// Starts a cluster that keeps every object on every one of its nodes.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(program: &Path, nodes: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("flywheel-garage-").tempdir_in("/tmp").expect("a folder");
        let nodes = (0..nodes).map(|number| Node::new(&folder.path().join(number.to_string()), nodes)).collect();
        let mut cluster = Self { program: program.to_owned(), nodes, is_laid_out: false, _folder: folder };
        for number in 0..cluster.nodes.len() {
            cluster.restart(number);
        }
        cluster.lay_out();
        cluster.is_laid_out = true;
        cluster
    }

    /// The address of a node's S3 service.
    #[must_use]
    pub fn endpoint(&self, node: usize) -> String {
        format!("http://127.0.0.1:{}", self.nodes[node].ports.s3)
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Kills a node on the spot.
    ///
    /// # Panics
    /// If it cannot be.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.nodes[node].child.take() {
            child.kill().expect("a node can be killed");
            child.wait().expect("a killed node ends");
        }
    }

    /// Starts a node, on its old data, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self, node: usize) {
        self.kill(node);
        let Node { config, ports, child } = &mut self.nodes[node];
        let log = File::options().create(true).append(true).open(config.with_file_name("log")).expect("a log");
        let errors = log.try_clone().expect("the log again");
        let started = Command::new(&self.program)
            .args(["-c".as_ref(), config.as_os_str(), "server".as_ref()])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn();
        *child = Some(started.expect("GARAGE names Garage's program"));
        let (admin, log) = (ports.admin, config.with_file_name("log"));
        patiently(&log, || match self.is_laid_out {
            // It has found the others again.
            true => is_healthy(admin),
            false => TcpStream::connect(("127.0.0.1", admin)).is_ok(),
        });
    }

    fn lay_out(&self) {
        let ids: Vec<String> = (0..self.nodes.len()).map(|node| self.command(node, &["node", "id", "-q"])).collect();
        let log = self.nodes[0].config.with_file_name("log");
        for id in &ids[1..] {
            patiently(&log, || self.try_command(0, &["node", "connect", id]).is_ok());
        }
        for (number, id) in ids.iter().enumerate() {
            let (short, _) = id.split_once('@').expect("an id has an address");
            let zone = format!("dc{number}");
            patiently(&log, || self.try_command(0, &["layout", "assign", "-z", &zone, "-c", "10G", short]).is_ok());
        }
        self.command(0, &["layout", "apply", "--version", "1"]);
        let key = ["key", "import", "--yes", "-n", "test", ACCESS_KEY_ID, SECRET_ACCESS_KEY];
        patiently(&log, || self.try_command(0, &key).is_ok());
        self.command(0, &["bucket", "create", BUCKET]);
        self.command(0, &["bucket", "allow", "--read", "--write", "--owner", BUCKET, "--key", ACCESS_KEY_ID]);
        for node in &self.nodes {
            let log = node.config.with_file_name("log");
            patiently(&log, || is_healthy(node.ports.admin));
        }
    }

    #[track_caller]
    fn command(&self, node: usize, arguments: &[&str]) -> String {
        self.try_command(node, arguments).unwrap_or_else(|error| panic!("garage {arguments:?}: {error}"))
    }

    fn try_command(&self, node: usize, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.program)
            .arg("-c")
            .arg(&self.nodes[node].config)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Node {
    fn new(folder: &Path, replicas: usize) -> Self {
        fs::create_dir_all(folder).expect("a folder for a node");
        let [rpc, s3, admin] = free_ports();
        let config = folder.join("garage.toml");
        let text = format!(
            "metadata_dir = \"{folder}/meta\"\ndata_dir = \"{folder}/data\"\ndb_engine = \"lmdb\"\n\
             replication_factor = {replicas}\ncompression_level = \"none\"\nrpc_bind_addr = \"127.0.0.1:{rpc}\"\n\
             rpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{RPC_SECRET}\"\n\
             [s3_api]\ns3_region = \"{REGION}\"\napi_bind_addr = \"127.0.0.1:{s3}\"\n\
             [admin]\napi_bind_addr = \"127.0.0.1:{admin}\"\nadmin_token = \"test\"\n",
            folder = folder.display()
        );
        fs::write(&config, text).expect("a configuration");
        Self { config, ports: Ports { rpc, s3, admin }, child: None }
    }
}

impl Drop for Garage {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if std::thread::panicking() {
            for Node { config, ports, .. } in &self.nodes {
                let log = fs::read_to_string(config.with_file_name("log")).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let end = &lines[lines.len().saturating_sub(15)..];
                eprintln!("---- the end of the log of the Garage node on {}\n{}\n----", ports.rpc, end.join("\n"));
            }
        }
    }
}

/// Ports that nobody listens on at this moment.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

fn is_healthy(admin: u16) -> bool {
    let ask = || {
        let mut socket = TcpStream::connect(("127.0.0.1", admin)).ok()?;
        socket.write_all(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1).map(|status| status == "200")
    };
    ask().unwrap_or(false)
}

#[track_caller]
fn patiently(log: &Path, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(
            begun.elapsed() < PATIENCE,
            "Garage does not get ready:\n{}",
            fs::read_to_string(log).unwrap_or_default()
        );
        sleep(Duration::from_millis(50));
    }
}
