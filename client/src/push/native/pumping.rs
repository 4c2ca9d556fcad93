//! The stages between reading and sending, with several batches and jobs under way, in order.

use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::{
    Context,
    asking::{Step, missing, steps},
    cutting::Batch,
    ledger::Ledger,
    packing::{Packed, Packer, jobs},
};
use crate::api::ApiError;

/// How many batches are asked about at once.
const QUESTIONS: usize = 3;
/// How many jobs are under way for each core, so that none waits for the one whose turn it is.
const JOBS_PER_CORE: usize = 2;

/// Asks and compresses.
#[derive(Clone)]
pub(super) struct Pump {
    pub(super) context: Arc<Context>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) packer: Arc<Packer>,
}

impl Pump {
    /// Works on what comes until nothing does, nobody wants more, or something fails.
    pub(super) async fn run(self, batches: mpsc::Receiver<Batch>, out: mpsc::Sender<Result<Packed, ApiError>>) {
        let ahead = self.packer.cores() * JOBS_PER_CORE;
        let mut packed = received(batches)
            .map(|batch| self.clone().ask(batch))
            .buffered(QUESTIONS)
            .map_ok(|batch| stream::iter(jobs(steps(&self.context, &self.ledger, batch))).map(Ok))
            .try_flatten()
            .map(|job| self.clone().pack(job))
            .buffered(ahead)
            .boxed();
        while let Some(packed) = packed.next().await {
            let failed = packed.is_err();
            if out.send(packed).await.is_err() || failed {
                return;
            }
        }
    }

    async fn ask(self, batch: Batch) -> Result<Batch, ApiError> {
        missing(&self.context, &self.ledger, batch).await
    }

    async fn pack(self, job: Result<Vec<Step>, ApiError>) -> Result<Packed, ApiError> {
        let Self { context, packer, .. } = self;
        packer.pack(job?).await.map_err(|error| context.broken(&error))
    }
}

/// What comes through a channel, as a stream.
fn received<T>(channel: mpsc::Receiver<T>) -> impl Stream<Item = T> {
    stream::unfold(channel, |mut channel| async move { Some((channel.recv().await?, channel)) })
}
