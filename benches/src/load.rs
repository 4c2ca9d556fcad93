//! Many connections that ask one thing after the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::http::{Base, Connection};

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// Until every request has been answered once.
    AllOnce,
    /// For so long, from the first again after the last.
    Elapsed(Duration),
}

/// What a load came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Seconds from the first request to the last answer; connections were open before.
    pub seconds: f64,
    /// The length of all bodies, in bytes.
    pub bytes: u64,
    /// Seconds from each request to its answer's end, ascending.
    pub latencies: Vec<f64>,
}

impl Outcome {
    /// Answers a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    /// What `share` of the answers did not take longer than, in seconds.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index from a share between 0 and 1"
    )]
    pub fn quantile(&self, share: f64) -> f64 {
        let at = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(at.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// Has `connections` ask `requests` in turn; every answer must have `status`. Takes one core at the most.
///
/// # Errors
/// An answer is another, or a connection ends.
pub fn load(
    base: &Base,
    requests: &Arc<Vec<Vec<u8>>>,
    status: u16,
    connections: usize,
    until: Until,
) -> anyhow::Result<Outcome> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(Connection::open(base.address).await?);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for connection in open {
            tasks.spawn(ask(connection, Arc::clone(requests), Arc::clone(&next), status, started, until));
        }
        let mut outcome = Outcome::default();
        while let Some(done) = tasks.join_next().await {
            let (bytes, latencies) = done??;
            outcome.bytes += bytes;
            outcome.latencies.extend(latencies);
        }
        outcome.seconds = started.elapsed().as_secs_f64();
        outcome.latencies.sort_by(f64::total_cmp);
        Ok(outcome)
    })
}

async fn ask(
    mut connection: Connection,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    status: u16,
    started: Instant,
    until: Until,
) -> anyhow::Result<(u64, Vec<f64>)> {
    let (mut bytes, mut latencies) = (0, Vec::new());
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        match until {
            Until::AllOnce if at >= requests.len() => break,
            Until::Elapsed(time) if started.elapsed() >= time => break,
            Until::AllOnce | Until::Elapsed(_) => {}
        }
        let answer = connection.ask(&requests[at % requests.len()], |_| {}).await?;
        anyhow::ensure!(answer.status == status, "an answer of {} in place of {status}", answer.status);
        bytes += answer.bytes;
        latencies.push(answer.whole);
    }
    Ok((bytes, latencies))
}
