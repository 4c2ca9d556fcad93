//! `watch-store`, and `watch-store stop`

use std::time::Duration;

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
    let begun = Begun::new(given.cache.as_deref(), &given.watching, environment, out).await?.check().await?;
    let _pid_file = given.pid_file.map(|path| PidFile::write(path, begun.queue_folder())).transpose()?;
    let running = begun.start();
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
    let named = given.queue_dir.is_some() || given.cache.is_some();
    let folder = match given.pid_file.as_deref().filter(|_| !named).map(PidFile::queue_of) {
        Some(Ok(Some(folder))) => folder,
        Some(Err(failure)) => return Err(failure),
        Some(Ok(None)) => {
            printer.note("no watcher runs");
            return Ok(ExitStatus::Ok);
        }
        None => queue_folder(given.queue_dir.as_deref(), given.cache.as_deref(), environment)?,
    };
    let read = || QueueState::read(&folder).map_err(|error| queue_failure(&error));
    let mut state = read()?;
    match state.holder {
        None => printer.note(format!("no watcher works on {}", folder.display())),
        Some(pid) => {
            signal_stop(pid)?;
            while state.holder == Some(pid) {
                sleep(POLL).await;
                state = read()?;
            }
        }
    }
    if state.paths.is_empty() {
        printer.note("nothing is left in the queue");
        return Ok(ExitStatus::Ok);
    }
    printer.warning(left_over(&state.paths));
    Ok(ExitStatus::Partly)
}
