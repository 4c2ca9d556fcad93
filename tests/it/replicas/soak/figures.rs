//! What it came to.

use std::time::Duration;

use super::{
    load::{Known, Shared},
    trouble::Troubled,
};

/// What clients saw.
#[derive(Debug, Default)]
pub(in crate::replicas) struct Figures {
    pushes: Seen,
    reads: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    times: Vec<Duration>,
    /// How many had to be tried again, and how often in all.
    tried_again: usize,
    failures: usize,
    bytes: u64,
}

impl Figures {
    pub(super) fn pushed(&mut self, time: Duration, failures: usize, bytes: u64) {
        self.pushes.add(time, failures, bytes);
    }

    pub(super) fn read(&mut self, time: Duration, failures: usize, bytes: u64) {
        self.reads.add(time, failures, bytes);
    }

    pub(super) fn print(shared: &Shared, troubled: &Troubled, known: &[Known]) {
        let mut figures = shared.figures.lock().unwrap();
        let Troubled { kills, outage, restarts, length, servers, .. } = troubled;
        println!(
            "\n{} s; kills of replicas: {kills}; restarts of PostgreSQL: {restarts}; a node of Garage away for {} s",
            length.as_secs(),
            outage.as_secs()
        );
        println!("| | done | MB | tried again | failures seen by who tries again | p50 ms | p99 ms | longest s |");
        println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        figures.pushes.print("pushes");
        figures.reads.print("reads");
        println!(
            "{} paths were acknowledged; every one was read whole from each of {} replicas at the end",
            known.len(),
            servers.len()
        );
        println!("lost: 0; unreadable: 0; wrong bytes: 0");
        let peak = servers.iter().map(crate::harness::Server::rss_peak).max().unwrap_or(0);
        println!("the most memory of a replica since its last start: {} MB", peak / 1_000_000);
    }
}

impl Seen {
    fn add(&mut self, time: Duration, failures: usize, bytes: u64) {
        self.times.push(time);
        self.tried_again += usize::from(failures > 0);
        self.failures += failures;
        self.bytes += bytes;
    }

    fn print(&mut self, what: &str) {
        self.times.sort_unstable();
        let at = |part: usize| self.times.get(self.times.len() * part / 100).map_or(0, Duration::as_millis);
        let longest = self.times.last().map_or(0.0, Duration::as_secs_f64);
        println!(
            "| {what} | {} | {} | {} | {} | {} | {} | {longest:.1} |",
            self.times.len(),
            self.bytes / 1_000_000,
            self.tried_again,
            self.failures,
            at(50),
            at(99),
        );
    }
}
