//! Answers on connections that carry many at once, given up one by one when nobody takes them.
//!
//! With HTTP/2 a client says for each answer how much of it it is ready to take. If it says nothing for one of them, the others go on
//! and the connection is anything but still; but what was read for that answer takes memory that others wait for. So each answer has
//! a clock of its own, which runs while a piece of it waits to be taken. When it runs out that one answer is reset.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, sleep};

/// The largest piece that is handed on at once. Whoever takes one a minute is slow, and not still.
const PIECE: usize = 64 << 10;

tokio::task_local! {
    /// The answer that this task sends.
    static CLOCK: Arc<Clock>;
}

/// Since when a piece of an answer waits to be taken.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Option<Instant>>);

impl Clock {
    fn set(&self, waiting_since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waiting_since;
    }

    /// Returns when it has run out.
    async fn run_out(&self, patience: Duration) {
        loop {
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let left = since.map_or(patience, |since| patience.saturating_sub(since.elapsed()));
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}

/// Runs the tasks that send answers, each until it is done or its clock has run out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    /// How long a piece may wait.
    pub(super) patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, sending: F) {
        let patience = self.patience;
        tokio::spawn(async move {
            let clock = Arc::<Clock>::default();
            tokio::select! {
                () = CLOCK.scope(Arc::clone(&clock), sending) => {}
                // What was being sent is dropped, and so the other end is told that it was cut off.
                () = clock.run_out(patience) => {}
            }
        });
    }
}

/// Has the clock of the task that this is called in run while a piece of `body` waits. A connection with one answer at a time has its
/// own ways; there it changes nothing.
pub(super) fn timed<B>(body: B) -> Timed<B> {
    Timed { body, rest: Bytes::new(), clock: CLOCK.try_with(Arc::clone).ok() }
}

/// A body that somebody may have to take before a clock runs out.
pub(super) struct Timed<B> {
    body: B,
    /// What is left of the last piece that was too large.
    rest: Bytes,
    clock: Option<Arc<Clock>>,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Timed<B> {
    type Data = Bytes;
    type Error = B::Error;

    /// Asked for only when the other end has said that it takes more.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(clock) = self.clock.clone() else { return Pin::new(&mut self.body).poll_frame(cx) };
        clock.set(None);
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        clock.set(Some(Instant::now()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl<B> Drop for Timed<B> {
    fn drop(&mut self) {
        if let Some(clock) = &self.clock {
            clock.set(None);
        }
    }
}
