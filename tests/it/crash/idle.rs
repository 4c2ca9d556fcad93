//! Connections on which nothing happens: many are fine, and none stays for ever.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::harness::{HalfPush, Server, TestPath};

const IMPATIENT: &str = "[flywheel.limits]\nhead-timeout = \"1s\"\nidle-timeout = \"3s\"\n";
const PATIENCE: Duration = Duration::from_secs(60);

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads until the server closes; fails if it does not.
pub(super) fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => answer,
        Err(error) => panic!("the server did not close: {error}"),
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let server = Server::builder().config(IMPATIENT).start();
    let trickling = connect(&server);
    // A byte now and then keeps no connection open.
    let mut writer = trickling.try_clone().unwrap();
    let slow = std::thread::spawn(move || {
        let mut sent = 0;
        for byte in b"GET /main/nix-cache-info HTTP/1.1\r\nhost: x\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
            if writer.write_all(&[*byte]).is_err() || sent > 6000 {
                return sent;
            }
            sent += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        sent
    });
    let begun = Instant::now();
    let answer = until_closed(trickling);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert!(begun.elapsed() < PATIENCE, "a slow client held its connection");
    assert!(slow.join().unwrap() < 6000);
    // So does one that says nothing at all, or stops in the middle.
    until_closed(connect(&server));
    let mut silent = connect(&server);
    silent.write_all(b"GET / HT").unwrap();
    until_closed(silent);
    server.http().get("/livez").await.expect(200);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_and_not_for_ever() {
    let server = Server::builder().config(IMPATIENT).start();
    let mut stream = connect(&server);
    for _ in 0..3 {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
        // Longer than a head may take, and not as long as a connection may rest.
        std::thread::sleep(Duration::from_millis(1500));
    }
    assert_eq!(until_closed(stream), b"");
}

#[tokio::test]
async fn a_request_that_is_being_answered_is_not_idle() {
    let server = Server::builder().config(IMPATIENT).start();
    let key = server.http().public_key("main").await;
    let path = TestPath::small("slow");
    let push = HalfPush::start(&server, &path);
    // The body has its own limit.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(push.finish().starts_with("HTTP/1.1 200 "));
    server.http().pull_same("main", &path, &key).await;
}

#[tokio::test]
async fn ten_thousand_connections_rest_at_once() {
    let server = Server::new();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = 10_000;
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limit.maximum, ..limit },
    )
    .unwrap();
    let count = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum.saturating_sub(2000)));
    let before = server.rss_peak();
    let mut resting = Vec::new();
    for _ in 0..count {
        let mut stream = connect(&server);
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        resting.push(stream);
    }
    server.http().get("/main/nix-cache-info").await.expect(200);
    let each = (server.rss_peak() - before) / count.max(1);
    println!("{count} connections rest, {each} bytes each");
    assert!(each < 40 << 10, "{each} bytes for a connection that rests");
}
