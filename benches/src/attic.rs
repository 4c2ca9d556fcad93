//! Attic's server, as it comes: an index in SQLite, and the bytes in a folder.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use crate::{listening, roles::Programs, served::Served};

/// What `atticd` asks for, and nothing else: chunking and compression are those of the template that it writes at its first start,
/// which leaves the level to the server (8).
const SETTINGS: &str = "listen = \"ADDRESS\"\n\
    [database]\nurl = \"sqlite://FOLDER/server.db?mode=rwc\"\n\
    [storage]\ntype = \"local\"\npath = \"FOLDER/storage\"\n\
    [chunking]\nnar-size-threshold = 65536\nmin-size = 16384\navg-size = 65536\nmax-size = 262144\n\
    [compression]\ntype = \"zstd\"\n\
    [garbage-collection]\ninterval = \"12 hours\"\n\
    [jwt.signing]\ntoken-hs256-secret-base64 = \"MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=\"\n";

/// Starts `atticd`, beside which `atticadm` lies, with a folder of its own below `scratch`, and makes a public cache `main`.
///
/// # Errors
/// It does not start.
pub fn start(atticd: &Path, programs: &Programs, scratch: &Path) -> anyhow::Result<Served> {
    let folder = tempfile::Builder::new().prefix("flywheel-bench-attic-").tempdir_in(scratch)?;
    let storage = folder.path().join("storage");
    fs::create_dir_all(&storage)?;
    let address = listening::free_address()?;
    let at = folder.path().display().to_string();
    let settings = folder.path().join("server.toml");
    fs::write(&settings, SETTINGS.replace("ADDRESS", &address.to_string()).replace("FOLDER", &at))?;
    let mut command = Command::new(atticd);
    // It writes no line for each request then, as the others do not.
    command.arg("--config").arg(&settings).env("RUST_LOG", "error");
    let process = listening::start(&mut command, address, &folder.path().join("log"))?;

    let mut make = Command::new(atticd.with_file_name("atticadm"));
    make.arg("--config").arg(&settings).args(["make-token", "--sub", "bench", "--validity", "1d"]);
    make.args(["--pull", "*", "--push", "*", "--create-cache", "*"]);
    let made = make.output().context("cannot start atticadm, which belongs beside atticd")?;
    anyhow::ensure!(made.status.success(), "no token of Attic's: {}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout)?.trim().to_owned();

    let mut create = programs.client()?;
    create.args(["--quiet", "cache", "create", "main", "--public"]);
    create.env("ATTIC_SERVER", format!("http://{address}")).env("ATTIC_TOKEN", &token);
    anyhow::ensure!(create.status()?.success(), "no cache on Attic's server");
    Ok(Served::at(process, address, token, folder, storage))
}
