//! harmonia in front of this machine's Nix store, as it comes.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::Context;

use crate::{listening, process::Killed};

/// A running harmonia, which serves NARs of what is in the store; it ends when this is dropped.
///
/// A NAR is compressed while it is sent to whoever says that they understand zstd, and else sent as it is.
#[derive(Debug)]
pub struct Harmonia {
    process: Killed,
    address: SocketAddr,
}

/// The header with which a NAR is compressed.
pub const ZSTD: &str = "Accept-Encoding: zstd\r\n";

impl Harmonia {
    /// Starts `program`, which is `harmonia-cache`, with its defaults and a key to sign with.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(program: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let folder = scratch.join("harmonia");
        fs::create_dir_all(&folder)?;
        let (secret, public) = (folder.join("secret"), folder.join("public"));
        let mut keys = Command::new("nix-store");
        keys.args(["--generate-binary-cache-key", "harmonia-1"]).args([&secret, &public]);
        anyhow::ensure!(keys.status().context("cannot start nix-store")?.success(), "no key for harmonia");
        let address = listening::free_address()?;
        let settings = folder.join("settings.toml");
        fs::write(&settings, format!("bind = \"{address}\"\nsign_key_paths = [ \"{}\" ]\n", secret.display()))?;
        let mut command = Command::new(program);
        // It writes no line for each request then, as the others do not.
        command.env("CONFIG_FILE", &settings).env("RUST_LOG", "error").current_dir(&folder);
        Ok(Self { process: listening::start(&mut command, address, &folder.join("log"))?, address })
    }

    /// Where it serves.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}
