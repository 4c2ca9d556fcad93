//! The real Nix, in as many versions as there are on this machine.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::Server;

/// Our client.
pub(crate) const PUSH: &str = env!("CARGO_BIN_EXE_client-under-test");

/// A Nix: a program that runs `nix`, or `nix-store` and the like if that is its first argument.
#[derive(Debug, Clone)]
pub(crate) struct NixClient {
    program: PathBuf,
}

/// The clients that `NIX_CLIENTS` names, separated by spaces. None is a failure if `REQUIRE_NIX` is set, else a note and a skip.
pub(crate) fn clients() -> Vec<NixClient> {
    let named = std::env::var("NIX_CLIENTS").unwrap_or_default();
    let clients: Vec<NixClient> =
        named.split_ascii_whitespace().map(|program| NixClient { program: program.into() }).collect();
    if clients.is_empty() {
        let is_required = std::env::var("REQUIRE_NIX").is_ok_and(|value| !value.is_empty() && value != "0");
        assert!(!is_required, "REQUIRE_NIX is set, but NIX_CLIENTS names no Nix");
        eprintln!("SKIPPED: NIX_CLIENTS names no Nix to test with");
    }
    clients
}

/// All clients, and each with the next one: who writes and who reads.
pub(crate) fn pairs() -> Vec<(NixClient, NixClient)> {
    let clients = clients();
    let next = clients.iter().cycle().skip(1);
    clients.iter().zip(next).map(|(writer, reader)| (writer.clone(), reader.clone())).collect()
}

impl NixClient {
    /// The last part of the program's path, such as `nix-2.8`.
    pub(crate) fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// This Nix with a home of its own: no settings, nothing remembered, `lines` in its nix.conf.
    pub(crate) fn at_home(&self, server: &Server, lines: &[&str]) -> Nix {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let home = server.scratch().join(format!("home-{}-{}", self.name(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let bin = home.join("bin");
        fs::create_dir_all(&bin).unwrap();
        // What is looked up in PATH as `nix` is this Nix.
        symlink(fs::canonicalize(&self.program).unwrap(), bin.join("nix")).unwrap();
        Nix { client: self.clone(), home, config: lines.join("\n") }
    }
}

/// A Nix with a home, ready to be run.
#[derive(Debug, Clone)]
pub(crate) struct Nix {
    client: NixClient,
    home: PathBuf,
    config: String,
}

impl Nix {
    /// A path in its home, for stores and files.
    pub(crate) fn place(&self, name: &str) -> String {
        self.home.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file into its home and returns its path.
    pub(crate) fn file(&self, name: &str, contents: &str) -> String {
        let path = self.place(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// A command, to be completed. It starts with `nix` unless the first argument is another of Nix's programs.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.client.program);
        self.prepare(&mut command).args(arguments);
        command
    }

    /// Runs it; it must succeed. Returns what it prints.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{} {}\n{}", self.client.name(), arguments.join(" "), said(&output));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs it; it must fail, and not by a signal. Returns what it says.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let code = output.status.code();
        let is_refusal = code.is_some_and(|code| code != 0 && code < 125);
        assert!(is_refusal, "{} {}: {}\n{}", self.client.name(), arguments.join(" "), output.status, said(&output));
        said(&output)
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs our own client over the store at `root`, which it asks through this Nix.
    #[track_caller]
    pub(crate) fn push(&self, server: &Server, root: &str, token: &str, arguments: &[&str]) -> String {
        let mut command = self.client(PUSH, root);
        command.args(arguments);
        command.env("ATTIC_SERVER", server.url()).env("ATTIC_TOKEN", token);
        let output = command.output().unwrap();
        assert!(output.status.success(), "flywheel-push {}\n{}", arguments.join(" "), said(&output));
        said(&output)
    }

    /// A client of ours over the store at `root`, to be completed.
    pub(crate) fn client(&self, program: &str, root: &str) -> Command {
        let mut command = Command::new(program);
        self.prepare(&mut command).env("NIX_REMOTE", root);
        command
    }

    pub(crate) fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let path = format!("{}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.home.display());
        command.env_clear().env("PATH", path).env("HOME", &self.home).env("NIX_CONFIG", &self.config);
        command.env("LC_ALL", "C.UTF-8").env("USER", "root").current_dir(&self.home).stdin(Stdio::null())
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The paths that every test with a real Nix moves about: references, a reference to itself, two outputs, odd names, an
/// executable, a symlink as a whole path, an empty file and an empty directory as whole paths, debug information, and noise of some
/// megabytes.
#[derive(Debug, Clone)]
pub(crate) struct Closure {
    /// The path that refers to all others.
    pub(crate) top: String,
    /// All of them, absolute.
    pub(crate) paths: Vec<String>,
    /// The derivation of `top`.
    pub(crate) derivation: String,
}

/// How long the file of noise is.
pub(crate) const NOISE_BYTES: usize = 6 << 20;

const EXPRESSION: &str = r#"
{ noise }:
let
  make = name: outputs: script: derivation {
    inherit name outputs;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    args = [ "-e" "-c" script ];
  };
  empty-file = make "empty-file" [ "out" ] ": > $out";
  empty-directory = make "empty-directory" [ "out" ] "mkdir $out";
  link = make "link" [ "out" ] "ln -s ${empty-file} $out";
  executable = make "executable" [ "out" ] "printf '#!/bin/sh\nexit 0\n' > $out; chmod +x $out";
  odd-names = make "odd+names_1.0-pre.2?x=y" [ "out" ] ''
    echo building odd names
    mkdir -p $out/a/b "$out/with space" "$out/-dash" "$out/.hidden"
    printf x > "$out/with space/ümläut"; printf x > "$out/a~nix~case~hack~1"; printf x > $out/A; printf x > $out/a.b
    ln -s nowhere "$out/dangling"; ln -s / $out/root; printf 1234567 > $out/seven; printf 12345678 > $out/eight
  '';
  itself = make "itself" [ "out" ] "mkdir $out; echo $out > $out/self; echo ${executable} > $out/other";
  two = make "two" [ "out" "dev" ] "echo building two; mkdir $out $dev; echo $out > $dev/lib; echo ${itself} > $out/lib";
  debug = make "debug" [ "out" ] ''
    mkdir -p $out/lib/debug/.build-id/00; echo no ELF > $out/lib/debug/.build-id/00/112233445566778899aabbccddeeff00112233.debug
  '';
  noise-out = make "noise" [ "out" ] "mkdir $out; cp ${builtins.path { path = noise; name = "noise-source"; }} $out/noise";
in
make "top" [ "out" ] ''
  echo building the top
  mkdir $out
  for part in ${two.dev} ${link} ${empty-directory} ${debug} ${noise-out} '${odd-names}'; do echo "$part" >> $out/parts; done
''
"#;

impl Closure {
    /// Builds it in this Nix's own store, which takes no time if it is there from an earlier run.
    pub(crate) fn build(nix: &Nix) -> Self {
        let noise = nix.place("noise");
        fs::write(&noise, super::Seed::new(1, "noise of the closure").bytes(NOISE_BYTES)).unwrap();
        let expression = nix.file("closure.nix", EXPRESSION);
        let instantiate = ["nix-instantiate", &expression, "--argstr", "noise", &noise];
        let derivation = nix.ok(&instantiate);
        let top = nix.ok(&["nix-store", "--realise", &derivation]);
        let paths = nix.ok(&["nix-store", "--query", "--requisites", &top]);
        let paths: Vec<String> = paths.lines().map(str::to_owned).collect();
        assert!(paths.len() >= 9, "{paths:?}");
        Self { top, paths, derivation }
    }

    /// Copies it into a store of its own under the Nix's home and returns that store's root.
    pub(crate) fn copy_to_root(&self, nix: &Nix, name: &str) -> String {
        let root = nix.place(name);
        nix.ok(&["copy", "--no-check-sigs", "--to", &root, &self.top]);
        root
    }

    /// The path of this name.
    pub(crate) fn path(&self, name: &str) -> &str {
        let end = format!("-{name}");
        self.paths.iter().find(|path| path.ends_with(&end)).unwrap_or_else(|| panic!("no {name} in {:?}", self.paths))
    }

    /// Fails unless the store at `root` has all of it, with the right contents and references.
    #[track_caller]
    pub(crate) fn assert_valid_in(&self, nix: &Nix, root: &str) {
        let mut verify = vec!["nix-store", "--store", root, "--verify-path"];
        verify.extend(self.paths.iter().map(String::as_str));
        nix.ok(&verify);
        let found = nix.ok(&["nix-store", "--store", root, "--query", "--requisites", &self.top]);
        let mut found: Vec<&str> = found.lines().collect();
        let mut expected: Vec<&str> = self.paths.iter().map(String::as_str).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

/// The hash part of an absolute store path.
pub(crate) fn hash_part(path: &str) -> &str {
    let name = Path::new(path).file_name().unwrap().to_str().unwrap();
    &name[..32]
}
