//! Closing connections so that the last answer arrives.
//!
//! Whoever is refused in the middle of an upload is still sending. If the connection were closed under them, the next bytes that
//! they send would be answered with a reset, and a reset throws away what they have not read yet: in place of `401` they would
//! see a connection that broke, and try again. So the server says that it will write no more, and reads on for a while without
//! looking at what comes.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request},
    http::{HeaderValue, Version, header},
    middleware::Next,
    response::Response,
    serve::Listener,
};
use http_body::{Body as _, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Instant, Sleep, sleep},
};

use super::{outbox::Outbox, serve::Activity};

/// How long nothing has to come for the client to have stopped.
const IDLE: Duration = Duration::from_secs(2);
/// How long a client is listened to that does not stop.
const LONGEST: Duration = Duration::from_secs(30);

/// Listens for connections that end as this module says.
pub(super) struct LingeringListener(pub(super) TcpListener);

impl Listener for LingeringListener {
    type Io = Lingering;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Lingering, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // An answer leaves in several writes; waiting for the client's acknowledgement in between costs 40 ms each.
        let _ = stream.set_nodelay(true);
        (Lingering::new(stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Whether a request on this connection was answered before its body was read to the end.
#[derive(Debug, Clone, Default)]
struct Unread(Arc<AtomicBool>);

impl Unread {
    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The other end of a connection, as requests know it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    address: SocketAddr,
    unread: Unread,
    outbox: Outbox,
}

impl Peer {
    /// The other end of this connection.
    pub(super) fn new(address: SocketAddr, connection: &Lingering) -> Self {
        Self { address, unread: connection.unread.clone(), outbox: connection.outbox.clone() }
    }

    /// Where it is.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is sent from files.
    pub(super) const fn outbox(&self) -> &Outbox {
        &self.outbox
    }
}

/// Watches whether the body of a request is read to the end.
pub(super) async fn watch(request: Request, next: Next) -> Response {
    let Some(ConnectInfo(Peer { unread, .. })) = request.extensions().get::<ConnectInfo<Peer>>().cloned() else {
        return next.run(request).await;
    };
    let body = unread.clone();
    let is_http1 = request.version() <= Version::HTTP_11;
    let mut response = next.run(request.map(|inner| Body::new(Watched { inner, ended: false, unread: body }))).await;
    if is_http1 && unread.is_set() {
        // There will be no other answer on this connection: the client is to ask on another one.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that tells when it is given up.
struct Watched {
    inner: Body,
    ended: bool,
    unread: Unread,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.ended |= frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.ended && !self.inner.is_end_stream() {
            self.unread.set();
        }
    }
}

/// A connection.
pub(super) struct Lingering {
    stream: TcpStream,
    unread: Unread,
    outbox: Outbox,
    activity: Arc<Activity>,
    closing: Option<Closing>,
}

impl Lingering {
    fn new(stream: TcpStream) -> Self {
        let (unread, outbox) = (Unread::default(), Outbox::default());
        Self { stream, unread, outbox, activity: Activity::new(), closing: None }
    }

    /// What happens on it.
    pub(super) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }
}

/// A connection on which nothing is written any more.
struct Closing {
    idle: Pin<Box<Sleep>>,
    longest: Pin<Box<Sleep>>,
}

impl AsyncRead for Lingering {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if buffer.filled().len() > before {
            self.activity.hear();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = if self.outbox.is_empty() {
            Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
        } else {
            self.outbox.poll_write(&self.stream, cx, slices)
        };
        self.activity.send(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, unread, closing, .. } = &mut *self;
        let closing = match closing {
            Some(closing) => closing,
            None => {
                ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                closing.insert(Closing { idle: Box::pin(sleep(IDLE)), longest: Box::pin(sleep(LONGEST)) })
            }
        };
        if !unread.is_set() {
            return Poll::Ready(Ok(()));
        }
        let mut space = [0; 16 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                // The client is done, or gone.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => closing.idle.as_mut().reset(Instant::now() + IDLE),
                Poll::Pending => break,
            }
        }
        if closing.idle.as_mut().poll(cx).is_ready() || closing.longest.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}
