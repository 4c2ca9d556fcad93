//! What happens meanwhile.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use bucket::Garage;

use super::load::Shared;
use crate::harness::Server;

/// How often a replica is killed.
const KILLS: Duration = Duration::from_secs(20);
/// How long a node of Garage is away, in a run of ten minutes.
const OUTAGE: Duration = Duration::from_secs(60);
/// How long PostgreSQL is away each time.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the last replica may take to be there again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything that can be killed.
pub(super) struct Trouble {
    pub(super) servers: Vec<Server>,
    pub(super) garage: Garage,
    pub(super) postgres: scratch::Server,
    pub(super) length: Duration,
}

/// What is still there, and what happened.
pub(super) struct Troubled {
    pub(super) servers: Vec<Server>,
    pub(super) kills: usize,
    pub(super) outage: Duration,
    pub(super) restarts: usize,
    pub(super) length: Duration,
    _garage: Garage,
    _postgres: scratch::Server,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    KillReplica(usize),
    StopNode,
    StartNode,
    /// In order, or as a crash would.
    RestartDatabase {
        is_crash: bool,
    },
    End,
}

impl Trouble {
    /// Makes trouble until it is over, and leaves everything up.
    pub(super) fn make(mut self, shared: &Shared) -> Troubled {
        let outage = OUTAGE.min(self.length / 5);
        let events = self.plan(outage);
        let begun = Instant::now();
        let (mut kills, mut restarts) = (0, 0);
        for (at, event) in events {
            sleep(at.saturating_sub(begun.elapsed()));
            println!("{:4} s: {event:?}", begun.elapsed().as_secs());
            match event {
                Event::KillReplica(which) => {
                    assert!(self.servers[which].is_running(), "replica {which} has ended by itself");
                    self.servers[which].restart_at_once();
                    kills += 1;
                }
                Event::StopNode => self.garage.kill(1),
                Event::StartNode => self.garage.restart(1),
                Event::RestartDatabase { is_crash } => {
                    if is_crash {
                        self.postgres.kill9();
                    } else {
                        self.postgres.stop();
                    }
                    sleep(PAUSE);
                    self.postgres.start_again();
                    restarts += 1;
                }
                Event::End => {}
            }
        }
        for (which, server) in self.servers.iter_mut().enumerate() {
            let waiting = Instant::now();
            let runtime = tokio::runtime::Handle::current();
            while !runtime.block_on(shared.is_ready(which)) {
                assert!(server.is_running(), "replica {which} has ended by itself");
                assert!(waiting.elapsed() < PATIENCE, "replica {which} does not come back");
                sleep(Duration::from_millis(100));
            }
        }
        let Self { servers, garage: _garage, postgres: _postgres, length } = self;
        Troubled { servers, kills, outage, restarts, length, _garage, _postgres }
    }

    fn plan(&self, outage: Duration) -> Vec<(Duration, Event)> {
        let part = |tenths: u32| self.length * tenths / 10;
        let kill = |number: u32| (KILLS * (number + 1), Event::KillReplica(number as usize % self.servers.len()));
        let mut events: Vec<_> = (0..).map(kill).take_while(|(at, _)| *at < self.length).collect();
        // Not at the moment of a kill.
        let aside = Duration::from_secs(7);
        events.extend([
            (part(2) + aside, Event::RestartDatabase { is_crash: false }),
            (part(4) + aside, Event::StopNode),
            (part(4) + aside + outage, Event::StartNode),
            (part(8) + aside, Event::RestartDatabase { is_crash: true }),
            (self.length.max(part(8) + aside), Event::End),
        ]);
        events.sort();
        events
    }
}
