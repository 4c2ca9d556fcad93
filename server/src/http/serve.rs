//! Connections: taken, served, and closed when nothing happens on them.
//!
//! A connection on which no request is being answered costs a little memory and one of the process's files, and whoever holds it may
//! hold many. So it is closed after a while: sooner if a request was begun and its head does not come to an end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    serve::Listener,
};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::conn::auto::Builder};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Service,
    linger::{Lingering, LingeringListener, Peer},
    streams::{Streams, timed},
};

/// How long a connection that is told to close may take to say so to the other end.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long a connection may stand still.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Between the first byte of a request and the end of its head.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// Until somebody takes the next bytes of an answer.
    pub(crate) body: Duration,
}

/// Serves until `soft` is cancelled, and then what is in flight.
pub(crate) async fn serve(listener: TcpListener, service: Service, patience: Patience, soft: CancellationToken) {
    let mut listener = LingeringListener(listener);
    let connections = TaskTracker::new();
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = soft.cancelled() => break,
        };
        connections.spawn(connection(stream, address, service.clone(), patience, soft.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: Lingering,
    address: SocketAddr,
    service: Service,
    patience: Patience,
    soft: CancellationToken,
) {
    let activity = stream.activity();
    let peer = Peer::new(address, &stream);
    let begun = Arc::clone(&activity);
    let answer = move |request: hyper::Request<Incoming>| {
        let busy = begun.begin();
        let (service, peer) = (service.clone(), peer.clone());
        async move {
            let response = service.answer(request, &peer).await;
            Ok::<_, Infallible>(response.map(|inner| timed(Answered { inner, _busy: busy })))
        }
    };
    let builder = Builder::new(Streams { patience: patience.body });
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service_fn(answer)));
    let (mut is_stopping, mut last) = (false, None);
    loop {
        let deadline = last.unwrap_or_else(|| activity.deadline(patience));
        tokio::select! {
            // How it ended matters to nobody: the client has gone, or was told.
            _ = serving.as_mut() => return,
            () = soft.cancelled(), if !is_stopping => {
                is_stopping = true;
                serving.as_mut().graceful_shutdown();
            }
            () = sleep_until(deadline) => {
                if activity.is_stuck(patience) {
                    // What is being sent takes memory that others wait for. A farewell would not be taken either.
                    return;
                }
                if !activity.is_over(patience) {
                    last = None;
                } else if last.is_some() {
                    return;
                } else {
                    serving.as_mut().graceful_shutdown();
                    last = Some(Instant::now() + FAREWELL);
                }
            }
        }
    }
}

/// What happens on a connection.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    /// How many requests are being answered.
    in_flight: usize,
    /// Since when none is.
    idle_since: Instant,
    /// When the first byte came of what may become a request.
    heard_at: Option<Instant>,
    /// Since when the other end has taken nothing of what it is sent.
    stuck_since: Option<Instant>,
}

/// A request that is being answered.
struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            in_flight: 0,
            idle_since: Instant::now(),
            heard_at: None,
            stuck_since: None,
        })))
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes came.
    pub(super) fn hear(&self) {
        self.state(|state| {
            if state.in_flight == 0 && state.heard_at.is_none() {
                state.heard_at = Some(Instant::now());
            }
        });
    }

    /// Bytes were to leave, and some did, or none could.
    pub(super) fn send(&self, is_stuck: bool) {
        self.state(|state| {
            state.stuck_since = is_stuck.then(|| state.stuck_since.unwrap_or_else(Instant::now));
        });
    }

    /// Whether the other end takes nothing, for so long that it never will.
    fn is_stuck(&self, patience: Patience) -> bool {
        self.state(|state| state.stuck_since.is_some_and(|since| since.elapsed() >= patience.body))
    }

    fn begin(self: &Arc<Self>) -> Busy {
        self.state(|state| {
            state.in_flight += 1;
            state.heard_at = None;
        });
        Busy(Arc::clone(self))
    }

    /// When to look whether it has been still for too long.
    fn deadline(&self, patience: Patience) -> Instant {
        let now = Instant::now();
        // A head may begin at any moment, and so may the other end stop taking what it is sent.
        let soon = now + patience.head.min(patience.body);
        self.state(|state| match (state.stuck_since, state.in_flight, state.heard_at) {
            (Some(stuck), _, _) => stuck + patience.body,
            (None, 0, Some(heard)) => (heard + patience.head).min(soon),
            (None, 0, None) => (state.idle_since + patience.idle).min(soon),
            (None, _, _) => soon,
        })
    }

    fn is_over(&self, patience: Patience) -> bool {
        self.state(|state| match (state.in_flight, state.heard_at) {
            (0, Some(heard)) => heard.elapsed() >= patience.head,
            (0, None) => state.idle_since.elapsed() >= patience.idle,
            (_, _) => false,
        })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state(|state| {
            state.in_flight -= 1;
            state.idle_since = Instant::now();
        });
    }
}

/// An answer's body, during which its connection is not idle.
struct Answered {
    inner: Body,
    _busy: Busy,
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
