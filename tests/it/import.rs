//! Moving in: from a folder, over HTTP, from Attic; and what was imported serves real Nix.

mod attic;
mod attic_fixture;
mod binary_cache;

use std::process::Output;

use crate::harness::Server;

/// Runs a verb of the server's program while no server runs, and gives its exit code and JSON.
fn run(server: &Server, arguments: &[&str]) -> (i32, serde_json::Value) {
    let output = server.command().args(arguments).arg("--json").output().unwrap();
    let code = output.status.code().expect("not ended by a signal");
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", said(&output)));
    (code, json)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
