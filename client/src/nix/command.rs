//! The local store, asked through the `nix` command.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use formats::{PathInfo, StoreDir, StorePath};
use protocol::Timestamp;

use super::{LocalStore, PathInfoError, StoreError, StorePlace, parse_path_infos, path_info::parse_registrations};

/// How many bytes of store paths one command is given; far below what any kernel allows for arguments and environment.
const MAX_ARGUMENT_BYTES: usize = 100 << 10;
/// How much of what a failed command says is repeated.
const SAID_LINES: usize = 5;

/// The local store as the `nix` command knows it.
///
/// The command inherits our environment, so `NIX_REMOTE`, `NIX_STORE_DIR` and `NIX_CONFIG` mean what they mean to Nix. It is
/// told to stay off the network: a path that is not here is not looked for in substituters.
#[derive(Debug, Clone)]
pub struct CommandStore {
    program: PathBuf,
    place: StorePlace,
}

impl CommandStore {
    /// The store at `place`, asked through `program`, a path or a name to be looked up in `PATH`.
    #[must_use]
    pub fn new(program: PathBuf, place: StorePlace) -> Self {
        Self { program, place }
    }

    /// Asks in as many commands as the paths need, and puts the answers together.
    fn ask(&self, recursive: bool, paths: &BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        // Old Nix takes a derivation to mean its outputs unless told otherwise; told so, any Nix takes an output to mean its
        // derivation. So the two are asked apart.
        let (derivations, others): (Vec<&StorePath>, Vec<&StorePath>) =
            paths.iter().partition(|path| path.is_derivation());
        let mut known = BTreeMap::new();
        for (kind, paths) in [(Some("--derivation"), derivations), (None, others)] {
            let options: Vec<&str> = recursive.then_some("--recursive").into_iter().chain(kind).collect();
            for batch in batches(&paths, MAX_ARGUMENT_BYTES, self.place.store_dir()) {
                for info in self.path_info(&options, &batch, parse_path_infos)? {
                    known.insert(info.path.clone(), info);
                }
            }
        }
        Ok(known.into_values().collect())
    }

    /// Runs `nix path-info` once and reads its answer with `parse`.
    fn path_info<T>(
        &self,
        options: &[&str],
        paths: &[String],
        parse: fn(&[u8], &StoreDir) -> Result<T, PathInfoError>,
    ) -> Result<T, StoreError> {
        let base = ["--extra-experimental-features", "nix-command", "path-info", "--offline", "--json"];
        let command = || format!("{} path-info {}", self.program.display(), options.join(" ")).trim_end().to_owned();
        let start = |source| StoreError::Start { program: self.program.clone(), source };
        let output =
            self.run(base.iter().chain(options).copied().chain(paths.iter().map(String::as_str))).map_err(start)?;
        let said = String::from_utf8_lossy(&output.stderr);
        // Announced for a later Nix: no format, no answer. Version 1 is what it gives today when not asked.
        let output = if !output.status.success() && said.contains("--json-format") {
            let format = ["--json-format", "1"];
            let arguments = base.iter().chain(&format).chain(options).copied();
            self.run(arguments.chain(paths.iter().map(String::as_str))).map_err(start)?
        } else {
            output
        };
        if !output.status.success() {
            return Err(failure(command(), &String::from_utf8_lossy(&output.stderr)));
        }
        parse(&output.stdout, self.place.store_dir()).map_err(|error| match error {
            PathInfoError::NotValid(path) => StoreError::NotValid(path),
            source => StoreError::Answer { command: command(), source: Box::new(source) },
        })
    }

    fn run<'a>(&self, arguments: impl Iterator<Item = &'a str>) -> io::Result<std::process::Output> {
        Command::new(&self.program).args(arguments).stdin(Stdio::null()).output()
    }
}

impl LocalStore for CommandStore {
    fn store_dir(&self) -> &StoreDir {
        self.place.store_dir()
    }

    fn closure(&self, roots: &BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        self.ask(true, roots)
    }

    fn path_infos(&self, paths: &BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        self.ask(false, paths)
    }

    fn registrations(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, Option<Timestamp>>, StoreError> {
        let (derivations, others): (Vec<&StorePath>, Vec<&StorePath>) =
            paths.iter().partition(|path| path.is_derivation());
        let mut registered = BTreeMap::new();
        for (options, paths) in [(&["--derivation"][..], derivations), (&[], others)] {
            for batch in batches(&paths, MAX_ARGUMENT_BYTES, self.place.store_dir()) {
                registered.extend(self.path_info(options, &batch, parse_registrations)?);
            }
        }
        Ok(registered)
    }

    fn contents(&self, path: &StorePath) -> PathBuf {
        self.place.contents(path)
    }

    fn folder(&self) -> &Path {
        self.place.folder()
    }
}

/// Cuts `paths` into runs of at most `limit` bytes of arguments, but of one path at least.
fn batches(paths: &[&StorePath], limit: usize, store_dir: &StoreDir) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut room = 0;
    for path in paths {
        let argument = store_dir.join(path);
        let need = argument.len() + 1;
        match batches.last_mut() {
            Some(batch) if need <= room => {
                room -= need;
                batch.push(argument);
            }
            _ => {
                room = limit.saturating_sub(need);
                batches.push(vec![argument]);
            }
        }
    }
    batches
}

/// Tells a path that is not valid from any other failure.
fn failure(command: String, stderr: &str) -> StoreError {
    let invalid = stderr.lines().find_map(|line| {
        let (_, rest) = line.split_once("path '")?;
        let (path, rest) = rest.split_once('\'')?;
        rest.starts_with(" is not valid").then(|| path.to_owned())
    });
    match invalid {
        Some(path) => StoreError::NotValid(path),
        None => {
            let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let last = lines[lines.len().saturating_sub(SAID_LINES)..].join("; ");
            StoreError::Failed { command, stderr: last }
        }
    }
}

#[cfg(test)]
mod tests;
