//! The stage that reads: from a body to batches of steps.

use tokio::{io::AsyncBufReadExt, sync::mpsc};

use protocol::push::StreamReader;

use super::sequence::{Sequencer, Step};
use crate::ingest::{BodyError, BodyReader, IngestError, body};

/// A batch ends when its chunks have this many bytes …
const BATCH_BYTES: u64 = 2 << 20;
/// … or when it has this many steps.
const BATCH_STEPS: usize = 2048;

/// Cuts a stream into batches.
pub(super) struct Reading {
    batches: mpsc::Sender<Vec<Step>>,
    steps: Vec<Step>,
    bytes: u64,
}

/// Nobody wants to have more, which whoever that is gives the reason for.
struct Closed;

impl Reading {
    pub(super) fn new(batches: mpsc::Sender<Vec<Step>>) -> Self {
        Self { batches, steps: Vec::new(), bytes: 0 }
    }

    /// Reads `body` until it ends or nobody wants more.
    pub(super) async fn run(mut self, body: BodyReader) -> Result<(), IngestError> {
        let outcome = self.read(body).await;
        // Whatever came before a cut is kept.
        let _ = self.hand_on().await;
        outcome
    }

    async fn read(&mut self, body: BodyReader) -> Result<(), IngestError> {
        let mut reader = body.into_reader();
        let mut stream = StreamReader::default();
        let mut sequencer = Sequencer::default();
        loop {
            let piece = reader.fill_buf().await.map_err(|error| match body::inner(&error) {
                Some(error) => IngestError::Body(error),
                None => IngestError::Body(BodyError::Cut(error.to_string())),
            })?;
            if piece.is_empty() {
                break;
            }
            stream.push(piece);
            let length = piece.len();
            reader.consume(length);
            while let Some(message) = stream.next_message()? {
                for step in sequencer.next(message)? {
                    self.bytes += step.size();
                    self.steps.push(step);
                    let full = self.bytes >= BATCH_BYTES || self.steps.len() >= BATCH_STEPS;
                    if full && matches!(self.hand_on().await, Err(Closed)) {
                        return Ok(());
                    }
                }
            }
        }
        stream.finish()?;
        sequencer.finish()?;
        Ok(())
    }

    async fn hand_on(&mut self) -> Result<(), Closed> {
        self.bytes = 0;
        let steps = std::mem::take(&mut self.steps);
        if steps.is_empty() { Ok(()) } else { self.batches.send(steps).await.map_err(|_| Closed) }
    }
}
