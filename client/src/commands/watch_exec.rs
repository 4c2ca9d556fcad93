//! `watch-exec`

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    os::unix::process::ExitStatusExt,
    process::ExitStatus as ProcessStatus,
};

use client::watch::Phase;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use super::{
    watch::{Begun, Out, Stream},
    watch_store::Signals,
};
use crate::{
    cli,
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
};

/// What shells say of a command that is not there, and of one that cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

pub(super) async fn run(
    given: cli::WatchExec,
    environment: &Environment,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    let json = given.watching.json;
    let out = |store_dir| if json { Out::json(printer, Stream::Error, store_dir) } else { Out::lines(printer) };
    // The cache is there to help the build. If it cannot, that is no reason not to build.
    let begun = match Begun::new(given.cache.as_deref(), &given.watching, environment, out).await {
        Ok(begun) => Some(begun),
        Err(failure) => {
            printer.warning(format!("nothing will be sent: {}", failure.message));
            if let Some(hint) = &failure.hint {
                printer.note(format!("hint: {hint}"));
            }
            None
        }
    };
    let queue = begun.as_ref().map(|begun| begun.queue_folder().to_owned());
    let running = begun.map(Begun::start);
    let mut command = command(&given.command);
    if let Some(queue) = queue {
        // So that a post-build hook finds us.
        command.env("FLYWHEEL_QUEUE_DIR", queue);
    }
    let status = match command.spawn() {
        Ok(child) => wait(child).await?,
        Err(error) => {
            let name = given.command.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            printer.warning(format!("cannot run {name:?}: {error}"));
            ExitStatus::Command(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE })
        }
    };
    if let Some(running) = running {
        running.phase.send_replace(Phase::Draining);
        tokio::spawn(Signals::listen()?.obey(running.phase.clone()));
        if let Err(failure) = running.end().await {
            printer.warning(failure.message);
        }
    }
    Ok(status)
}

fn command(words: &[OsString]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map(OsString::as_os_str).unwrap_or_default());
    command.args(words);
    command
}

/// Waits for the command to end. What tells us to stop is for it.
async fn wait(mut child: Child) -> Result<ExitStatus, Failure> {
    let listen = |kind| signal(kind).map_err(|error| failure::runtime(&error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hangup = listen(SignalKind::hangup())?;
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let pass_on = |signal| {
        // If it has ended, that is what we wait for.
        let _ = pid.map(|pid| kill_process(pid, signal));
    };
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| failure::runtime(&error))?;
                return Ok(ExitStatus::Command(code(status)));
            }
            _ = terminate.recv() => pass_on(Signal::TERM),
            _ = hangup.recv() => pass_on(Signal::HUP),
            // From a terminal it has reached the command already.
            _ = interrupt.recv() => if !io::stdin().is_terminal() { pass_on(Signal::INT) },
        }
    }
}

/// The exit status of a command, as shells say it.
fn code(status: ProcessStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_the_command_is_kept() {
        assert_eq!(code(ProcessStatus::from_raw(0)), 0);
        assert_eq!(code(ProcessStatus::from_raw(42 << 8)), 42);
        assert_eq!(code(ProcessStatus::from_raw(9)), 137);
    }
}
