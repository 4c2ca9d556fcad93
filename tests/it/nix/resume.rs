//! A download that breaks off goes on where it stopped.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::harness::{
    Server,
    nix::{Closure, NOISE_BYTES, clients},
};

/// A way to the server that breaks once, in the middle of a large answer.
struct Cutter {
    address: String,
    /// The head of every request to a NAR.
    requests: Arc<Mutex<Vec<String>>>,
    was_cut: Arc<AtomicBool>,
}

impl Cutter {
    async fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (requests, was_cut) = (Arc::default(), Arc::default());
        let cutter = Self { address, requests, was_cut };
        let (requests, was_cut) = (Arc::clone(&cutter.requests), Arc::clone(&cutter.was_cut));
        let to = server.address();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(to).await.unwrap();
                tokio::spawn(relay(client, server, Arc::clone(&requests), Arc::clone(&was_cut)));
            }
        });
        cutter
    }
}

/// Passes bytes on both ways. The first connection to bring half of the noise is cut there.
async fn relay(client: TcpStream, server: TcpStream, requests: Arc<Mutex<Vec<String>>>, was_cut: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read) = from_client.read(&mut buffer).await {
            if read == 0 || to_server.write_all(&buffer[..read]).await.is_err() {
                break;
            }
            let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
            requests.lock().unwrap().extend(text.contains("/nar/").then_some(text));
        }
    };
    let down = async move {
        let mut buffer = vec![0; 16 << 10];
        let mut passed = 0;
        while let Ok(read) = from_server.read(&mut buffer).await {
            if read == 0 || to_client.write_all(&buffer[..read]).await.is_err() {
                break;
            }
            passed += read;
            if passed > NOISE_BYTES / 2 && !was_cut.swap(true, Ordering::SeqCst) {
                break;
            }
        }
    };
    // Whichever way ends first, the connection is closed.
    tokio::select! { () = up => {}, () = down => {} }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_download_goes_on() {
    for client in clients() {
        let server = Server::new();
        let key = server.http().public_key("main").await;
        let nix = client.at_home(&server, &[&format!("trusted-public-keys = {key}")]);
        let closure = Closure::build(&nix);
        let source = closure.copy_to_root(&nix, "source");
        nix.push(&server, &source, &server.token(&[]), &["push", "main", &closure.top]);

        let cutter = Cutter::start(&server).await;
        let cache = format!("http://{}/main", cutter.address);
        let root = nix.place("root");
        nix.ok(&["copy", "--from", &cache, "--to", &root, &closure.top]);
        closure.assert_valid_in(&nix, &root);
        assert!(cutter.was_cut.load(Ordering::SeqCst), "nothing was cut");
        let requests = cutter.requests.lock().unwrap();
        let resumed = requests.iter().filter(|head| head.to_ascii_lowercase().contains("\r\nrange: bytes=")).count();
        assert_eq!(resumed, 1, "{requests:#?}");
    }
}
