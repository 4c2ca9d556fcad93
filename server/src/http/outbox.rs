//! Bytes that the system sends from files, between those that this process sends.
//!
//! The body of an answer is a row of byte strings, and a part of a file is none. So a stand-in of the same length goes into the body,
//! and the part into the outbox of the connection. Stand-ins are cut from one string that nobody reads; when one of them comes to be
//! written, the connection has the system send the part instead. If one is missing or of another length, something on the way has
//! copied it, and the connection is given up: the stand-in itself never leaves.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use rustix::net::SendFlags;
use storage::{FilePart, LONGEST_PART};
use tokio::{io::Interest, net::TcpStream};

use crate::fetch::Piece;

/// What stand-ins are cut from: never touched, so that it is an address without memory.
static STAND_IN: LazyLock<Bytes> = LazyLock::new(|| vec![0; usize::try_from(LONGEST_PART).unwrap_or(0)].into());

/// The parts of files that a connection is to send, in order. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox(Arc<Mutex<VecDeque<FilePart>>>);

impl Outbox {
    /// What goes into the body for a piece. The pieces of an answer have to come here in the order in which they are sent.
    pub(super) fn body(&self, piece: Piece) -> Bytes {
        match piece {
            Piece::InMemory(bytes) => bytes,
            Piece::InFile(part) => {
                let length = usize::try_from(part.len()).unwrap_or(usize::MAX);
                self.parts().push_back(part);
                STAND_IN.slice(..length)
            }
        }
    }

    /// Whether nothing waits here.
    pub(super) fn is_empty(&self) -> bool {
        self.parts().is_empty()
    }

    /// Writes the first of `slices`: from its file if it is a stand-in.
    pub(super) fn poll_write(
        &self,
        stream: &TcpStream,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(first) = slices.iter().find(|slice| !slice.is_empty()) else { return Poll::Ready(Ok(0)) };
        let mut parts = self.parts();
        if is_stand_in(first) {
            let part = parts.front_mut().filter(|part| part.len() == first.len() as u64).ok_or_else(lost)?;
            let sent = ready!(poll_send(stream, context, || part.send_to(stream)))?;
            if part.is_empty() {
                parts.pop_front();
            }
            Poll::Ready(Ok(sent))
        } else if slices.iter().any(|slice| is_stand_in(slice)) {
            // The system waits for what follows, so that a head and a short body are one packet.
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            poll_send(stream, context, || Ok(rustix::net::send(stream, first, flags)?))
        } else {
            Poll::Ready(Err(lost()))
        }
    }

    fn parts(&self) -> MutexGuard<'_, VecDeque<FilePart>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_stand_in(slice: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&slice.as_ptr())
}

fn lost() -> io::Error {
    io::Error::other("a part of a file was lost on its way to the connection")
}

/// Waits until the socket takes something.
fn poll_send(
    stream: &TcpStream,
    context: &mut Context<'_>,
    mut send: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(context))?;
        match stream.try_io(Interest::WRITABLE, &mut send) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            sent => return Poll::Ready(sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, future::poll_fn};

    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (here, there) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (here.unwrap(), there.unwrap().0)
    }

    fn part(bytes: &[u8]) -> FilePart {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        FilePart::new(Arc::new(File::open(path).unwrap()), 0..bytes.len() as u64)
    }

    /// Writes a body as hyper does.
    async fn write_all(outbox: &Outbox, stream: &TcpStream, mut body: Vec<Bytes>) -> io::Result<()> {
        while !body.is_empty() {
            let slices: Vec<IoSlice<'_>> = body.iter().map(|bytes| IoSlice::new(bytes)).collect();
            let mut written = poll_fn(|context| outbox.poll_write(stream, context, &slices)).await?;
            while let Some(first) = body.first_mut() {
                let of_first = written.min(first.len());
                bytes::Buf::advance(first, of_first);
                written -= of_first;
                if !first.is_empty() {
                    break;
                }
                body.remove(0);
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn parts_of_files_are_sent_in_their_places() {
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        let (mut here, there) = pair().await;
        let outbox = Outbox::default();
        let pieces = [Piece::InFile(part(&large)), Piece::InMemory("and".into()), Piece::InFile(part(b"an end"))];
        let mut body = vec![Bytes::from("head")];
        body.extend(pieces.map(|piece| outbox.body(piece)));
        let read = tokio::spawn(async move {
            let mut all = Vec::new();
            here.read_to_end(&mut all).await.unwrap();
            all
        });
        write_all(&outbox, &there, body).await.unwrap();
        assert!(outbox.is_empty());
        drop(there);
        let expected = [b"head", &large[..], b"and", b"an end"].concat();
        assert!(read.await.unwrap() == expected);
    }

    #[tokio::test]
    async fn a_stand_in_that_was_copied_or_cut_ends_the_connection() {
        let (_here, there) = pair().await;
        let outbox = Outbox::default();
        let stand_in = outbox.body(Piece::InFile(part(b"0123456789")));
        let copied = Bytes::copy_from_slice(&stand_in);
        write_all(&outbox, &there, vec![copied]).await.unwrap_err();
        write_all(&outbox, &there, vec![stand_in.slice(1..)]).await.unwrap_err();
        write_all(&outbox, &there, vec![stand_in.clone()]).await.unwrap();
        // Nothing waits any more.
        write_all(&outbox, &there, vec![stand_in]).await.unwrap_err();
    }
}
