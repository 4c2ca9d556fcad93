//! `watch-store`, and `watch-store stop`

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use client::watch::{Phase, QueueState};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::sleep,
};

use super::watch::{Begun, Out, PidFile, Stream, exists, left_over, queue_failure, queue_folder, signal_stop};
use crate::{
    cli::{self, WatchStoreVerb},
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
};

/// How often to look whether a process has ended.
const POLL: Duration = Duration::from_millis(100);
/// How often to look whether a watcher that has written its process id begins to watch.
const BEGINNING_POLLS: u32 = 100;

pub(super) async fn run(
    given: cli::WatchStore,
    environment: &Environment,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    if let Some(WatchStoreVerb::Stop(given)) = &given.verb {
        return stop(given, environment, printer).await;
    }
    // From the first moment on a signal is an order to stop, not an end.
    let signals = Signals::listen()?;
    let json = given.watching.json;
    let out = |store_dir| if json { Out::json(printer, Stream::Output, store_dir) } else { Out::lines(printer) };
    let folder = queue_folder(given.watching.queue_dir.as_deref(), given.cache.as_deref(), environment)?;
    // Before all else, so that whoever wants us to stop can say so soon.
    let _pid_file = given.pid_file.map(|path| PidFile::write(path, &folder)).transpose()?;
    let begun = Begun::new(given.cache.as_deref(), &given.watching, environment, out).await?;
    let running = begun.check().await?.start();
    tokio::spawn(signals.obey(running.phase.clone()));
    if let Some(pid) = given.exit_with_pid {
        tokio::spawn(end_with(pid, running.phase.clone()));
    }
    let summary = running.end().await?;
    Ok(if summary.left.is_empty() { ExitStatus::Ok } else { ExitStatus::Partly })
}

/// The signals that tell us to stop.
pub(super) struct Signals(Vec<tokio::signal::unix::Signal>);

impl Signals {
    pub(super) fn listen() -> Result<Self, Failure> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        let signals: Result<Vec<_>, _> = kinds.into_iter().map(signal).collect();
        signals.map(Self).map_err(|error| failure::runtime(&error))
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) {
        let waits = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(waits).await;
    }

    /// The first makes the watcher drain, the second ends it.
    pub(super) async fn obey(mut self, phase: watch::Sender<Phase>) {
        loop {
            self.next().await;
            phase.send_modify(|phase| {
                *phase = match phase {
                    Phase::Watching => Phase::Draining,
                    Phase::Draining | Phase::Stopping => Phase::Stopping,
                }
            });
        }
    }
}

/// Makes the watcher drain once a process has ended.
async fn end_with(pid: u32, phase: watch::Sender<Phase>) {
    while exists(pid) {
        sleep(POLL).await;
    }
    phase.send_modify(|phase| *phase = Phase::Draining.max(*phase));
}

async fn stop(given: &cli::Stop, environment: &Environment, printer: Printer) -> Result<ExitStatus, Failure> {
    let Some(folder) = queue_to_stop(given, environment)? else {
        printer.note("there is no such file, so no watcher is waited for");
        return Ok(ExitStatus::Ok);
    };
    match watcher_of(&folder, given.pid_file.as_deref()).await? {
        None => printer.note(format!("no watcher works on {}", folder.display())),
        Some(pid) => {
            signal_stop(pid)?;
            while state_of(&folder)?.holder == Some(pid) {
                sleep(POLL).await;
            }
        }
    }
    let left = state_of(&folder)?.paths;
    if left.is_empty() {
        printer.note("nothing is left in the queue");
        return Ok(ExitStatus::Ok);
    }
    printer.warning(left_over(&left));
    Ok(ExitStatus::Partly)
}

/// The queue whose watcher is meant; none if that of a file is meant that is not there.
fn queue_to_stop(given: &cli::Stop, environment: &Environment) -> Result<Option<PathBuf>, Failure> {
    match &given.pid_file {
        Some(path) if given.queue_dir.is_none() && given.cache.is_none() => PidFile::queue_of(path),
        Some(_) | None => queue_folder(given.queue_dir.as_deref(), given.cache.as_deref(), environment).map(Some),
    }
}

/// The process that works on a queue. One that has written its file, or holds the lock and has not said who it is, has only
/// just begun.
async fn watcher_of(folder: &Path, pid_file: Option<&Path>) -> Result<Option<u32>, Failure> {
    for _ in 0..BEGINNING_POLLS {
        match state_of(folder)?.holder {
            Some(0) => {}
            Some(pid) => return Ok(Some(pid)),
            None => {
                let wrote = pid_file.map(PidFile::pid_of).transpose()?.flatten();
                if !wrote.is_some_and(exists) {
                    return Ok(None);
                }
            }
        }
        sleep(POLL).await;
    }
    Ok(None)
}

fn state_of(folder: &Path) -> Result<QueueState, Failure> {
    QueueState::read(folder).map_err(|error| queue_failure(&error))
}
