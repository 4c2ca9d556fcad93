//! Flakes, asked through the `nix` command.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use formats::{Sha256, StorePath};
use protocol::promotion::{Evaluation, FlakeSource};
use serde_json::Value;

use super::GatherError;
use crate::nix::LocalStore;

/// How much of what a failed command says is repeated.
const SAID_LINES: usize = 5;

/// What came out of a flake.
#[derive(Debug, Clone)]
pub struct FlakeBuild {
    /// The flake, locked.
    pub source: FlakeSource,
    /// The attribute, written out.
    pub attribute: String,
    /// The derivation that it is.
    pub derivation: StorePath,
    /// How it was evaluated.
    pub evaluation: Evaluation,
}

/// Evaluates `attribute` of `flake`, purely and as it is locked. Nothing is written but derivations.
///
/// # Errors
/// The flake is not locked, has no such attribute, or Nix cannot be asked.
pub fn evaluate(
    program: &Path,
    store: &dyn LocalStore,
    flake: &str,
    attribute: &str,
) -> Result<FlakeBuild, GatherError> {
    let locked = ["--no-update-lock-file", "--no-write-lock-file"];
    let text = run(program, &[&["flake", "metadata", "--json"], &locked[..], &[flake]].concat())?;
    let strange = |what: &str| GatherError::Answer { command: "nix flake metadata".to_owned(), what: what.to_owned() };
    let metadata: Value = serde_json::from_str(&text).map_err(|error| strange(&error.to_string()))?;
    let url = metadata["url"].as_str().ok_or_else(|| strange("it has no url"))?.to_owned();
    let source = FlakeSource {
        url: url.clone(),
        locked: locked_of(&metadata),
        locks: metadata["locks"].clone(),
        lock_digest: lock_digest(store, &metadata),
    };
    let system = run(program, &["eval", "--impure", "--raw", "--expr", "builtins.currentSystem"])?;
    let mut failure = None;
    for attribute in candidates(attribute, &system) {
        let wanted = format!("{url}#{attribute}.drvPath");
        match run(program, &[&["eval", "--raw"], &locked[..], &[&wanted]].concat()) {
            Ok(path) => {
                let derivation =
                    store.store_dir().parse_path(path.trim()).map_err(|error| strange(&error.to_string()))?;
                let evaluation = Evaluation { nix: nix_version(program)?, pure: true, ..Evaluation::default() };
                return Ok(FlakeBuild { source, attribute, derivation, evaluation });
            }
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.unwrap_or_else(|| strange("it has no attributes")))
}

/// What `nix --version` says.
///
/// # Errors
/// Nix cannot be asked.
pub fn nix_version(program: &Path) -> Result<String, GatherError> {
    Ok(run(program, &["--version"])?.trim().to_owned())
}

/// The attributes that Nix tries for what a person writes.
fn candidates(attribute: &str, system: &str) -> Vec<String> {
    let system = system.trim();
    let name = if attribute.is_empty() { "default" } else { attribute };
    let mut all = vec![format!("packages.{system}.{name}"), format!("legacyPackages.{system}.{name}")];
    // Written out already, it would only be found below the others by accident.
    let at = if attribute.contains('.') { 0 } else { all.len() };
    if !attribute.is_empty() {
        all.insert(at, attribute.to_owned());
    }
    all
}

/// What the flake is locked to; a tree with changes says so, in whatever words this Nix has for it.
fn locked_of(metadata: &Value) -> Value {
    let mut locked = metadata["locked"].clone();
    if let (Some(dirty), Some(fields)) = (metadata.get("dirtyRevision"), locked.as_object_mut()) {
        fields.insert("dirtyRev".to_owned(), dirty.clone());
    }
    locked
}

/// The digest of the lock file of the source as Nix has copied it.
fn lock_digest(store: &dyn LocalStore, metadata: &Value) -> Option<Sha256> {
    let source = store.store_dir().parse_path(metadata["path"].as_str()?).ok()?;
    let folder = match metadata["locked"]["dir"].as_str() {
        Some(dir) => store.contents(&source).join(dir),
        None => store.contents(&source),
    };
    Some(Sha256::digest_of(&std::fs::read(folder.join("flake.lock")).ok()?))
}

fn run(program: &Path, arguments: &[&str]) -> Result<String, GatherError> {
    let features = ["--extra-experimental-features", "nix-command flakes"];
    let output = Command::new(program).args(features).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|source| GatherError::Start { program: program.to_owned(), source })?;
    let command = || format!("{} {}", program.display(), arguments.join(" "));
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let said = lines[lines.len().saturating_sub(SAID_LINES)..].join("; ");
        return Err(GatherError::Failed { command: command(), said });
    }
    String::from_utf8(output.stdout)
        .map_err(|_| GatherError::Answer { command: command(), what: "it is not UTF-8".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_looked_for_as_nix_does() {
        assert_eq!(candidates("", "s"), ["packages.s.default", "legacyPackages.s.default"]);
        assert_eq!(candidates("hello", "s"), ["packages.s.hello", "legacyPackages.s.hello", "hello"]);
        assert_eq!(candidates("packages.t.hello", "s")[0], "packages.t.hello");
    }
}
