//! The body of an upload: a NAR that arrives piece by piece.

use std::{
    io,
    pin::Pin,
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
        let pieces = Abortable::new(Pieces { preamble, nar: self, moved }, registration);
        (reqwest::Body::wrap_stream(pieces), Pace { movement, end })
    }
}

struct Pieces {
    preamble: Option<Bytes>,
    nar: NarBody,
    moved: watch::Sender<()>,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match self.preamble.take() {
            Some(preamble) => Poll::Ready(Some(Ok(preamble))),
            None => self.nar.pieces.poll_recv(cx),
        };
        if let Poll::Ready(piece) = &piece {
            self.moved.send_replace(());
            if let Some(Ok(bytes)) = piece {
                (self.nar.sent)(bytes.len() as u64);
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
}

impl Pace {
    /// Ends when nothing has moved for `limit`; once the body is out, when the answer has taken that long.
    pub(super) async fn stalled(&mut self, limit: Duration) {
        loop {
            match tokio::time::timeout(limit, self.movement.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_closed)) => return tokio::time::sleep(limit).await,
                Err(_elapsed) => return,
            }
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.end.abort();
    }
}
