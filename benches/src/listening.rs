//! Programs that listen on a port that they are told.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::process::Killed;

/// Far more than a start takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An address of this machine that nobody listens on at this moment.
///
/// # Errors
/// There is no port to be had.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Starts a program that is to listen at `address`, and waits until it does. What it prints goes to `log`.
///
/// # Errors
/// It cannot be started, ends, or does not listen.
pub fn start(command: &mut Command, address: SocketAddr, log: &Path) -> anyhow::Result<Killed> {
    let printed = File::create(log)?;
    command.stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(printed);
    let mut process =
        command.spawn().map(Killed).with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        let ended = process.0.try_wait()?.is_some();
        if ended || started.elapsed() > PATIENCE {
            let said = std::fs::read_to_string(log)?;
            anyhow::bail!("{:?} does not listen:\n{said}", command.get_program());
        }
        sleep(Duration::from_millis(10));
    }
    Ok(process)
}
