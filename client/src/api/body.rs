//! The body of an upload: a NAR that arrives piece by piece.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    Stream,
    stream::{AbortHandle, Abortable},
};
use tokio::sync::{mpsc, watch};

/// A NAR on its way: the receiving end of a bounded channel, so that a slow server slows the reader down.
///
/// The channel must close only after the whole NAR was sent; an error in it breaks the request off, and the server learns that
/// the body is not whole.
pub struct NarBody {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    sent: Box<dyn Fn(u64) + Send + Sync>,
}

impl NarBody {
    /// The NAR that comes through `pieces`; `sent` hears how many more bytes the connection has taken.
    pub fn new(pieces: mpsc::Receiver<io::Result<Bytes>>, sent: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { pieces, sent: Box::new(sent) }
    }

    pub(super) fn into_body(self, preamble: Option<Bytes>) -> (reqwest::Body, Pace) {
        let (moved, movement) = watch::channel(());
        let (end, registration) = AbortHandle::new_pair();
        let pieces = Arc::new(Mutex::new(Some(self.pieces)));
        let stream = Pieces { preamble, pieces: Arc::clone(&pieces), sent: self.sent, moved };
        (reqwest::Body::wrap_stream(Abortable::new(stream, registration)), Pace { movement, end, pieces })
    }
}

/// The way from the reader, which either side can take away.
type Shared = Arc<Mutex<Option<mpsc::Receiver<io::Result<Bytes>>>>>;

struct Pieces {
    preamble: Option<Bytes>,
    pieces: Shared,
    sent: Box<dyn Fn(u64) + Send + Sync>,
    moved: watch::Sender<()>,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match self.preamble.take() {
            Some(preamble) => Poll::Ready(Some(Ok(preamble))),
            None => match self.pieces.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(pieces) => pieces.poll_recv(cx),
                None => Poll::Ready(None),
            },
        };
        if let Poll::Ready(piece) = &piece {
            self.moved.send_replace(());
            if let Some(Ok(bytes)) = piece {
                (self.sent)(bytes.len() as u64);
            }
        }
        piece
    }
}

/// Watches how a body gets on, and ends it when dropped: a server that answers before it has read everything, most likely to
/// refuse, is not sent the rest.
pub struct Pace {
    movement: watch::Receiver<()>,
    end: AbortHandle,
    pieces: Shared,
}

impl Pace {
    /// Ends when nothing has moved for `limit`; once the body is out, when the answer has taken that long and `more`.
    pub(super) async fn stalled(&mut self, limit: Duration, more: &impl Fn() -> Duration) {
        loop {
            match tokio::time::timeout(limit, self.movement.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_closed)) => return tokio::time::sleep(limit + more()).await,
                Err(_elapsed) => return,
            }
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.end.abort();
        // The connection may hold the body for as long as it waits for a server that reads no more. The reader need not.
        drop(self.pieces.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
