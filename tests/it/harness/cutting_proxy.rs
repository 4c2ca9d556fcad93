//! A TCP proxy that drops connections after so many bytes, or lets only so many through in a second.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, sleep},
    time::{Duration, Instant},
};

/// Passes bytes on, both ways, until it is told to cut.
pub(crate) struct CuttingProxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    to_server: AtomicU64,
    /// When `to_server` gets here, the connection that got it there is cut.
    cut_at: AtomicU64,
    cuts: AtomicU64,
    /// How many bytes a second go to the server.
    rate: u64,
}

const NEVER: u64 = u64::MAX;

impl CuttingProxy {
    /// A proxy in front of `server`, which may come and go.
    pub(crate) fn start(server: SocketAddr) -> Self {
        Self::slow(server, u64::MAX)
    }

    /// The same, for clients that send `rate` bytes a second.
    pub(crate) fn slow(server: SocketAddr, rate: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { to_server: 0.into(), cut_at: NEVER.into(), cuts: 0.into(), rate });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(upstream) = TcpStream::connect(server) else { continue };
                let (from, to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                let state = Arc::clone(&shared);
                thread::spawn(move || forward(client, upstream, &state));
                thread::spawn(move || pass(from, to, |_| true));
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes clients have sent so far.
    pub(crate) fn to_server(&self) -> u64 {
        self.state.to_server.load(Ordering::SeqCst)
    }

    /// Cuts a connection when clients have sent `bytes` more; gives up after a while. Tells whether there was one to cut.
    pub(crate) fn cut_after(&self, bytes: u64, patience: Duration) -> bool {
        let cuts = self.state.cuts.load(Ordering::SeqCst);
        self.state.cut_at.store(self.to_server() + bytes, Ordering::SeqCst);
        let begin = Instant::now();
        while self.state.cuts.load(Ordering::SeqCst) == cuts && begin.elapsed() < patience {
            sleep(Duration::from_millis(2));
        }
        self.stop_cutting();
        self.state.cuts.load(Ordering::SeqCst) != cuts
    }

    pub(crate) fn stop_cutting(&self) {
        self.state.cut_at.store(NEVER, Ordering::SeqCst);
    }
}

fn forward(client: TcpStream, upstream: TcpStream, state: &State) {
    let ends = [client.try_clone().unwrap(), upstream.try_clone().unwrap()];
    pass(client, upstream, |length| {
        let sent = state.to_server.fetch_add(length, Ordering::SeqCst) + length;
        sleep(Duration::from_secs_f64(length as f64 / state.rate as f64));
        let goes_on = sent < state.cut_at.load(Ordering::SeqCst);
        if !goes_on {
            state.cut_at.store(NEVER, Ordering::SeqCst);
            state.cuts.fetch_add(1, Ordering::SeqCst);
            ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        }
        goes_on
    });
}

/// Passes bytes on as long as `goes_on` says so; what was read last then goes nowhere.
fn pass(mut from: TcpStream, mut to: TcpStream, mut goes_on: impl FnMut(u64) -> bool) {
    let _ = to.set_nodelay(true);
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 || !goes_on(length as u64) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
