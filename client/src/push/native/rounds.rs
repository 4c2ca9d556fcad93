//! A native push from beginning to end: rounds of sending, until everything has its result.

use std::{num::NonZeroU64, sync::Arc};

use formats::StorePathHash;
use protocol::push::PushParameters;
use tokio::sync::mpsc;

use super::{
    Context, Transfer, Tuning,
    cutting::Cutting,
    ledger::Ledger,
    packing::{Packer, default_cores},
    pumping::Pump,
    sending::{Sending, Task},
};
use crate::{
    api::{Api, ApiError},
    push::{
        PathResult, PushPlan,
        rate::RateLimit,
        upload::{UploadError, Uploader},
    },
    report::Event,
    retry::{Again, Retryable},
};

/// A request that a proxy finds too large is halved: from this at most, since proxies that have a limit have one below it …
const LARGE_REQUEST_BYTES: u64 = 256 << 20;
/// … and not below this.
const MIN_REQUEST_BYTES: u64 = 1 << 20;

/// Sends what `plan` says, and tells what became of it.
pub(in crate::push) async fn push(
    uploader: &Arc<Uploader>,
    parameters: PushParameters,
    tuning: Tuning,
    plan: &PushPlan,
) -> (Vec<PathResult>, Transfer) {
    let store_dir = uploader.store.store_dir();
    let names = plan.uploads().iter().map(|info| store_dir.join(&info.path)).collect();
    let ledger = Arc::new(Ledger::new(plan, Arc::clone(&uploader.reporter), uploader.api.clone(), names));
    let level = tuning.level.unwrap_or(parameters.compression_level);
    let cores = tuning.compression_jobs.unwrap_or_else(|| default_cores(level));
    let mut rounds = Rounds {
        context: Arc::new(Context { uploader: Arc::clone(uploader), parameters, tuning }),
        ledger: Arc::clone(&ledger),
        packer: Arc::new(Packer::new(level, cores)),
        rate: uploader.rate.clone(),
    };
    if let Err(error) = rounds.run().await {
        ledger.give_up(error);
    }
    let (chunks, chunks_sent) = ledger.chunk_counts();
    (ledger.take_results(), Transfer { chunks, chunks_sent, ..Transfer::default() })
}

struct Rounds {
    context: Arc<Context>,
    ledger: Arc<Ledger>,
    packer: Arc<Packer>,
    rate: Option<Arc<RateLimit>>,
}

impl Rounds {
    async fn run(&mut self) -> Result<(), ApiError> {
        let policy = *self.api().retry_policy();
        let mut failed = 0;
        let mut first = true;
        loop {
            let order = self.ledger.begin_round();
            let done = self.ledger.done();
            if order.is_empty() {
                return Ok(());
            }
            // This question was repeated as often as the policy says, so its failure is the end.
            let order = if first { order } else { self.still_missing(order).await? };
            let outcome = self.round(order).await;
            first = false;
            // Whatever has arrived is arrived: only attempts that get nowhere are counted.
            failed = if self.ledger.done() > done { 0 } else { failed };
            let asked = match outcome {
                Ok(()) => None,
                Err(error) if self.shrink(&error) => None,
                Err(error) => {
                    let Again::After(asked) = error.again() else { return Err(error) };
                    if failed + 1 >= policy.attempts.get() {
                        return Err(error);
                    }
                    Some((asked, UploadError::Api(error)))
                }
            };
            failed += 1;
            let Some(&at) = self.ledger.begin_round().first() else { return Ok(()) };
            let wait = policy.wait(failed, rand::random(), asked.as_ref().and_then(|(asked, _)| *asked));
            if let Some((_, error)) = &asked {
                let path = &self.ledger.info(at).path;
                self.context.uploader.reporter.report(Event::Waiting { path, failed, wait, error });
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks again which of these paths are missing: an answer may have been lost on the way.
    async fn still_missing(&self, order: Vec<usize>) -> Result<Vec<usize>, ApiError> {
        let hashes: Vec<StorePathHash> = order.iter().map(|&at| *self.ledger.info(at).path.hash()).collect();
        let missing = self.api().get_missing_paths(&self.context.uploader.cache, &hashes).await?;
        let (missing, there): (Vec<usize>, Vec<usize>) =
            order.into_iter().partition(|&at| missing.contains(self.ledger.info(at).path.hash()));
        there.into_iter().for_each(|at| self.ledger.is_there(at));
        Ok(missing)
    }

    /// Makes requests smaller if one was refused for its size and there is something to be gained.
    fn shrink(&mut self, error: &ApiError) -> bool {
        let ApiError::Refused(refusal) = error else { return false };
        // No server that says how much it takes is meant, so the limit is that of somebody on the way.
        let smaller = self.context.max_request_bytes().min(LARGE_REQUEST_BYTES) / 2;
        if refusal.status != reqwest::StatusCode::PAYLOAD_TOO_LARGE || smaller < MIN_REQUEST_BYTES {
            return false;
        }
        Arc::make_mut(&mut self.context).tuning.max_request_bytes = NonZeroU64::new(smaller);
        true
    }

    /// Sends what has not been sent, once.
    async fn round(&self, order: Vec<usize>) -> Result<(), ApiError> {
        let (batches, cut) = mpsc::channel(1);
        let cutting = Cutting::new(&self.context, Arc::clone(&self.ledger), batches);
        let reading = tokio::task::spawn_blocking(move || cutting.run(&order));
        let (packed, received) = mpsc::channel(2);
        let pump = Pump {
            context: Arc::clone(&self.context),
            ledger: Arc::clone(&self.ledger),
            packer: Arc::clone(&self.packer),
        };
        let pumping = Task(tokio::spawn(pump.run(cut, packed)));
        let sending = Sending {
            api: self.api().clone(),
            cache: self.context.uploader.cache.clone(),
            ledger: Arc::clone(&self.ledger),
            rate: self.rate.clone(),
            max_request_bytes: self.context.max_request_bytes(),
            attempts: self.api().retry_policy().attempts.get(),
        };
        let outcome = sending.run(received).await;
        drop(pumping);
        match reading.await {
            Ok(()) => outcome,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn api(&self) -> &Api {
        &self.context.uploader.api
    }
}
