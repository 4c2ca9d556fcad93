//! What a push would send, found out without sending.

use std::sync::Arc;

use protocol::push::PushParameters;
use tokio::sync::mpsc;

use super::{
    Context, Tuning,
    asking::missing,
    cutting::{Cutting, Piece},
    ledger::Ledger,
};
use crate::{
    api::ApiError,
    push::{Outcome, PathResult, PushPlan, UploadError, upload::Uploader},
    report::Silent,
};

/// What the uploads of a plan would cost.
#[derive(Debug, Default)]
pub struct Survey {
    /// For each upload of the plan, in its order, how many bytes of its NAR the cache lacks, before compression. A chunk that
    /// occurs in several counts for the first. `None` if the path cannot be read.
    pub new_bytes: Vec<Option<u64>>,
    /// How many chunks the paths were cut into.
    pub chunks: u64,
    /// How many of them would be sent.
    pub new_chunks: u64,
    /// What is wrong with paths that cannot be read.
    pub errors: Vec<UploadError>,
}

impl Survey {
    /// How many bytes the cache lacks in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.new_bytes.iter().flatten().sum()
    }
}

/// Reads all paths of `plan`, and asks for their chunks.
pub(in crate::push) async fn survey(
    uploader: &Arc<Uploader>,
    parameters: PushParameters,
    tuning: Tuning,
    plan: &PushPlan,
) -> Result<Survey, ApiError> {
    let context = Context { uploader: Arc::clone(uploader), parameters, tuning };
    let ledger = Arc::new(Ledger::new(plan, Arc::new(Silent), uploader.api.clone(), Vec::new()));
    let (batches, mut cut) = mpsc::channel(1);
    let cutting = Cutting::new(&context, Arc::clone(&ledger), batches);
    let order = ledger.begin_round();
    let reading = tokio::task::spawn_blocking(move || cutting.run(&order));
    let mut survey = Survey { new_bytes: vec![Some(0); plan.uploads().len()], ..Survey::default() };
    while let Some(batch) = cut.recv().await {
        let batch = missing(&context, &ledger, batch).await?;
        for chunk in batch.iter().flat_map(Piece::chunks) {
            survey.new_chunks += 1;
            survey.new_bytes[chunk.at].iter_mut().for_each(|bytes| *bytes += chunk.bytes.len() as u64);
        }
    }
    if let Err(panic) = reading.await {
        std::panic::resume_unwind(panic.into_panic());
    }
    (survey.chunks, _) = ledger.chunk_counts();
    for PathResult { path, outcome, .. } in ledger.take_results() {
        if let Some(at) = plan.uploads().iter().position(|info| info.path == path) {
            survey.new_bytes[at] = None;
        }
        if let Outcome::Failed(error) = outcome {
            survey.errors.push(error);
        }
    }
    Ok(survey)
}
