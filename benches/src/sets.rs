//! Data sets: lists of store paths.

use std::{fs, path::Path, process::Command, time::Instant};

use anyhow::Context;

/// A named list of store paths.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// What it is called in tables.
    pub name: String,
    /// The paths, absolute.
    pub paths: Vec<String>,
}

impl DataSet {
    /// Reads `NAME=FILE`, where the file has one path a line.
    ///
    /// # Errors
    /// The argument has another form, or the file cannot be read or is empty.
    pub fn parse(argument: &str) -> anyhow::Result<Self> {
        let (name, file) = argument.split_once('=').context("a data set is NAME=FILE")?;
        let text = fs::read_to_string(Path::new(file)).with_context(|| format!("cannot read {file}"))?;
        let paths: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        anyhow::ensure!(!paths.is_empty(), "{file} names no path");
        Ok(Self { name: name.to_owned(), paths })
    }

    /// How many seconds `nix path-info` takes to tell about the paths, as the client asks it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn path_info_seconds(&self) -> anyhow::Result<f64> {
        let started = Instant::now();
        // What one command line holds; the client splits at about the same size.
        for some in self.paths.chunks(1500) {
            let output = Command::new("nix")
                .args(["--extra-experimental-features", "nix-command", "path-info", "--offline", "--json"])
                .arg("--recursive")
                .args(some)
                .output()?;
            anyhow::ensure!(output.status.success(), "nix path-info: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(started.elapsed().as_secs_f64())
    }
}

/// What Attic's own client and server took for a set, as docs/performance.md has it.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Seconds.
    pub wall: f64,
    /// CPU seconds of the server.
    pub server_cpu: f64,
    /// Bytes stored, in millions.
    pub stored_mb: f64,
}

/// Attic's figures for the sets of docs/performance.md, measured once on a quiet machine of the same class.
#[must_use]
pub fn attic_once(set: &str) -> Option<Peer> {
    match set {
        "small" => Some(Peer { wall: 3.9, server_cpu: 5.0, stored_mb: 0.23 }),
        "wheels" => Some(Peer { wall: 19.0, server_cpu: 26.0, stored_mb: 111.0 }),
        "toolchain" => Some(Peer { wall: 26.0, server_cpu: 38.0, stored_mb: 180.0 }),
        _ => None,
    }
}
