//! The stage that sends: messages in order, in requests of bounded size.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use protocol::{CacheName, ErrorCode, push::MAGIC};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    ledger::Ledger,
    packing::{Kind, Packed},
};
use crate::{
    api::{Api, ApiError, NarBody},
    push::rate::RateLimit,
};

/// How many pieces wait for the connection.
const PIECES_AHEAD: usize = 2;
/// Under a bandwidth limit bytes go out in pieces of this size.
const LIMITED_PIECE_BYTES: usize = 32 << 10;
/// A request that has had nothing to send for so long ends, so that its results come and no proxy loses patience.
const IDLE: Duration = Duration::from_secs(5);

/// Sends messages, one request after the other.
pub(super) struct Sending {
    pub(super) api: Api,
    pub(super) cache: CacheName,
    pub(super) ledger: Arc<Ledger>,
    pub(super) rate: Option<Arc<RateLimit>>,
    pub(super) max_request_bytes: u64,
    pub(super) attempts: u32,
}

/// A request under way.
struct Request {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    answer: Task<Result<(), ApiError>>,
    used: u64,
    /// The paths that it has had.
    paths: Vec<usize>,
    /// How many chunks the last of them still promises.
    owed: usize,
    /// The path that is going out in parts.
    open: Option<usize>,
}

impl Sending {
    /// Sends everything that comes, and waits for all results.
    ///
    /// What comes is an error when the stages before could not go on; what is under way is then ended properly.
    pub(super) async fn run(&self, mut packed: mpsc::Receiver<Result<Packed, ApiError>>) -> Result<(), ApiError> {
        let mut open: Option<Request> = None;
        loop {
            let next = match &mut open {
                None => packed.recv().await,
                Some(request) => tokio::select! {
                    next = packed.recv() => next,
                    () = tokio::time::sleep(IDLE), if !request.owes() => {
                        self.finish(&mut open).await?;
                        continue;
                    }
                    answer = &mut request.answer.0 => return Err(self.early(request, joined(answer))),
                },
            };
            match next {
                Some(Ok(packed)) => self.send(&mut open, packed).await?,
                Some(Err(error)) => {
                    match &open {
                        // What was promised does not come: the server must not take the stream for whole.
                        Some(request) if request.owes() => request.break_off().await,
                        _ => self.finish(&mut open).await?,
                    }
                    return Err(error);
                }
                None => return self.finish(&mut open).await,
            }
        }
    }

    async fn send(&self, open: &mut Option<Request>, packed: Packed) -> Result<(), ApiError> {
        let Packed { wire, messages, room } = packed;
        // What has been looked at and not sent: from `start` to `end`.
        let (mut start, mut end) = (0, 0);
        for message in messages {
            let bytes = (message.end - end) as u64;
            let room = match message.kind {
                Kind::Path { follow, .. } | Kind::Opening { follow, .. } => bytes + follow,
                // The room for what is promised was made sure of when the path went out.
                Kind::Part { .. } | Kind::Closing { .. } => 0,
                Kind::Chunk { .. } if open.as_ref().is_some_and(Request::owes) => 0,
                Kind::Chunk { .. } => bytes,
            };
            if !fits(open, room, self.max_request_bytes) {
                self.pieces(open, wire.slice(start..end)).await?;
                self.finish(open).await?;
                start = end;
            }
            let is_wanted = match message.kind {
                // Asked last: what ended just now may have been a reference.
                Kind::Path { at, .. } | Kind::Opening { at, .. } => self.ledger.sending(at),
                Kind::Part { at } | Kind::Closing { at } => {
                    open.as_ref().is_some_and(|request| request.open == Some(at))
                }
                Kind::Chunk { .. } => true,
            };
            if !is_wanted {
                self.pieces(open, wire.slice(start..end)).await?;
                (start, end) = (message.end, message.end);
                continue;
            }
            let request = match open {
                Some(request) => request,
                None => open.insert(self.begin().await?),
            };
            request.used += bytes;
            match message.kind {
                Kind::Path { at, chunks, .. } => {
                    request.paths.push(at);
                    request.owed = chunks;
                }
                Kind::Opening { at, .. } => {
                    request.paths.push(at);
                    request.open = Some(at);
                }
                Kind::Part { .. } => {}
                Kind::Closing { .. } => request.open = None,
                Kind::Chunk { at, size, promised } => {
                    if promised {
                        request.owed = request.owed.saturating_sub(1);
                    }
                    self.ledger.sent_chunk(at, size);
                }
            }
            end = message.end;
        }
        self.pieces(open, wire.slice(start..end)).await?;
        drop(room);
        Ok(())
    }

    async fn begin(&self) -> Result<Request, ApiError> {
        let (pieces, received) = mpsc::channel(PIECES_AHEAD);
        let (api, cache, ledger, attempts) =
            (self.api.clone(), self.cache.clone(), Arc::clone(&self.ledger), self.attempts);
        let counter = api.clone();
        let body = NarBody::new(received, move |bytes| counter.count_sent(bytes));
        let answer = Task(tokio::spawn(async move {
            let patience = || ledger.patience();
            api.push_stream(&cache, body, |result| ledger.heard(result, attempts), patience).await
        }));
        let request = Request { pieces, answer, used: MAGIC.len() as u64, paths: Vec::new(), owed: 0, open: None };
        // If the request has ended already, its answer will be seen.
        let _ = request.pieces.send(Ok(Bytes::from_static(MAGIC))).await;
        Ok(request)
    }

    async fn pieces(&self, open: &mut Option<Request>, mut bytes: Bytes) -> Result<(), ApiError> {
        let Some(request) = open else { return Ok(()) };
        while !bytes.is_empty() {
            let piece = match &self.rate {
                None => std::mem::take(&mut bytes),
                Some(rate) => {
                    let piece = bytes.split_to(bytes.len().min(LIMITED_PIECE_BYTES));
                    tokio::time::sleep(rate.reserve(piece.len())).await;
                    piece
                }
            };
            if request.pieces.send(Ok(piece)).await.is_err() {
                let answer = joined((&mut request.answer.0).await);
                return Err(self.early(request, answer));
            }
        }
        Ok(())
    }

    /// Ends the request under way, and waits for its results.
    async fn finish(&self, open: &mut Option<Request>) -> Result<(), ApiError> {
        let Some(Request { pieces, mut answer, paths, .. }) = open.take() else { return Ok(()) };
        drop(pieces);
        joined((&mut answer.0).await)?;
        match self.ledger.unanswered(&paths) {
            0 => Ok(()),
            count => Err(self.incomplete(format!("The server said nothing of {count} paths."))),
        }
    }

    /// What it means that an answer is complete before the request is.
    fn early(&self, request: &Request, answer: Result<(), ApiError>) -> ApiError {
        let unanswered = self.ledger.unanswered(&request.paths);
        let text = || format!("The server stopped listening; {unanswered} paths are without an answer.");
        answer.err().unwrap_or_else(|| self.incomplete(text()))
    }

    fn incomplete(&self, message: String) -> ApiError {
        self.api.refusal(&self.cache, ErrorCode::IncompleteBody, message)
    }
}

impl Request {
    /// Whether it cannot end here.
    fn owes(&self) -> bool {
        self.owed > 0 || self.open.is_some()
    }

    async fn break_off(&self) {
        let error = io::Error::other("the stream cannot go on");
        if self.pieces.send(Err(error)).await.is_ok() {
            // Until the connection has seen it.
            self.pieces.closed().await;
        }
    }
}

fn fits(open: &Option<Request>, bytes: u64, limit: u64) -> bool {
    open.as_ref().is_none_or(|request| request.used + bytes <= limit)
}

/// A task that does not outlive whoever waits for it.
pub(super) struct Task<T>(pub(super) JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn joined<T>(task: Result<T, tokio::task::JoinError>) -> T {
    match task {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("a task that is waited for is not aborted"),
        },
    }
}
