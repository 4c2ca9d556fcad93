//! nginx in front of a folder that `nix copy` filled: what a cache is measured by.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::{listening, process::Killed, sets::DataSet};

/// A running nginx; it ends when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    master: Killed,
    address: SocketAddr,
}

impl Nginx {
    /// Fills a folder below `scratch` with the sets, as `nix copy --to file://…?compression=zstd` does, and serves it with as many
    /// workers as there are cores.
    ///
    /// # Errors
    /// nginx or nix are not there, or do not want to.
    pub fn start(sets: &[DataSet], scratch: &Path) -> anyhow::Result<Self> {
        let folder = scratch.join("nginx");
        let root = folder.join("root");
        fs::create_dir_all(&root)?;
        for some in sets.iter().flat_map(|set| set.paths.chunks(1500)) {
            let mut command = Command::new("nix");
            command.args(["--extra-experimental-features", "nix-command", "copy", "--no-check-sigs", "--to"]);
            command.arg(format!("file://{}?compression=zstd", root.display())).args(some);
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().context("cannot start nix")?;
            anyhow::ensure!(status.success(), "nix copy ended with {status}");
        }
        let address = listening::free_address()?;
        let (at, served) = (folder.display(), root.display());
        let configuration = format!(
            "worker_processes auto; daemon off; pid {at}/pid; error_log {at}/error.log crit;\n\
             events {{ worker_connections 16384; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             server {{ listen {address}; root {served}; log_not_found off; }} }}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration)?;
        // Workers of a master that is root run as somebody else, who must be able to read.
        let mut command = Command::new("nginx");
        command.arg("-g").arg(if rustix::process::geteuid().is_root() { "user root;" } else { "" });
        command.arg("-c").arg(&file);
        Ok(Self { master: listening::start(&mut command, address, &folder.join("log"))?, address })
    }

    /// Where it serves.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The master.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.master.0.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master takes its workers with it.
        let _ = kill_process(Pid::from_child(&self.master.0), Signal::TERM);
        let _ = self.master.0.wait();
    }
}
