//! A home with nothing in it, in which programs run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::harness::Server;

const SERVER: &str = env!("CARGO_BIN_EXE_server-under-test");
const CLIENT: &str = env!("CARGO_BIN_EXE_client-under-test");

/// Programs run here with an environment that is only what the test says.
pub(crate) struct Lab {
    home: TempDir,
    environment: Vec<(String, String)>,
    /// What differs from run to run, and what stands for it.
    known: Vec<(String, String)>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let home = tempfile::Builder::new().prefix("flywheel-cli-").tempdir_in("/tmp").unwrap();
        let known = vec![(home.path().to_str().unwrap().to_owned(), "HOME".to_owned())];
        Self { home, environment: Vec::new(), known }
    }

    /// One whose outputs call the server `SERVER`, and the key of its cache `main` `KEY`.
    pub(crate) async fn at(server: &Server) -> Self {
        let key = server.http().public_key("main").await;
        Self::new().knows(&server.url(), "http://SERVER").knows(&key.to_string(), "main:KEY")
    }

    /// Writes `name` for `text` in what programs print.
    pub(crate) fn knows(mut self, text: &str, name: &str) -> Self {
        self.known.push((text.to_owned(), name.to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file, and returns where.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A file's text, with what differs from run to run replaced.
    pub(crate) fn read(&self, name: &str) -> String {
        self.tidy(&fs::read_to_string(self.path(name)).unwrap_or_else(|error| format!("{error}\n")))
    }

    pub(crate) fn server(&self, arguments: &[&str]) -> String {
        self.run(SERVER.as_ref(), arguments)
    }

    pub(crate) fn client(&self, arguments: &[&str]) -> String {
        self.run(CLIENT.as_ref(), arguments)
    }

    /// Runs one of the programs by another name.
    pub(crate) fn called(&self, name: &str, arguments: &[&str]) -> String {
        let (bin, program) = (self.path("bin"), if name == "attic" { CLIENT } else { SERVER });
        fs::create_dir_all(&bin).unwrap();
        let _ = std::os::unix::fs::symlink(program, bin.join(name));
        self.run(&bin.join(name), arguments)
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        self.told(&output)
    }

    /// `flywheel-server`, to be started otherwise.
    pub(crate) fn server_command(&self) -> Command {
        self.command(SERVER.as_ref())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home.path()).env("PATH", self.path("bin"));
        command.env("COLUMNS", "100").envs(self.environment.iter().cloned());
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    /// All that a program said, and its exit status.
    fn told(&self, output: &Output) -> String {
        let text = |bytes: &[u8]| self.tidy(std::str::from_utf8(bytes).unwrap());
        let data: String =
            text(&output.stdout).lines().map(|line| format!("{}\n", format!("> {line}").trim_end())).collect();
        let code = output.status.code().map_or_else(|| "killed".to_owned(), |code| format!("exit {code}"));
        format!("{code}\n{data}{}", text(&output.stderr))
    }

    fn tidy(&self, text: &str) -> String {
        let text = self.known.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from.as_str(), to));
        text.lines().map(|line| format!("{}\n", without_time(line.trim_end()))).collect()
    }
}

/// `in 0.3 s` takes another time every time.
fn without_time(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    for at in 1..words.len().saturating_sub(1) {
        let is_number = words[at].parse::<f64>().is_ok();
        if words[at - 1] == "in" && is_number && words[at + 1].trim_end_matches([',', ';']) == "s" {
            words[at] = "N";
        }
    }
    words.join(" ")
}
