//! A client that takes one answer of a connection and not another, as HTTP/2 allows: only that one is given up.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, StatusCode};

use crate::harness::{Node, Seed, Server, TestPath};

/// More than one client is allowed to take without saying so.
const WINDOW: u32 = 64 << 10;

/// Asks for a path; gives the body, of which nothing has been taken.
async fn ask(client: &mut SendRequest<Bytes>, address: &str, path: &str) -> h2::RecvStream {
    let request = Request::get(format!("http://{address}{path}")).body(()).unwrap();
    *client = client.clone().ready().await.unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.into_body()
}

/// Takes a whole body.
async fn taken(mut body: h2::RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_takes_is_reset_and_the_others_go_on() {
    // Memory for one extent: whoever holds it holds up all others.
    let limits = "[flywheel.limits]\nmax-read-memory = \"1 MiB\"\nbody-idle-timeout = \"1s\"\n";
    let server = Server::builder().config(limits).start();
    let http = server.admin();
    let path = TestPath::new("large", &Node::noise(&mut Seed::new(7, "still streams"), 20 << 20));
    http.upload("main", &path).await.expect(200);
    let narinfo = format!("/main/{}.narinfo", path.hash());
    let text = http.get(&narinfo).await.expect(200).text();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let (nar, length) = (format!("/main/{}", field("URL: ")), field("FileSize: ").parse::<usize>().unwrap());

    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let mut settings = h2::client::Builder::new();
    // So that a full window of one answer leaves room for all others.
    settings.initial_window_size(WINDOW).initial_connection_window_size(64 * WINDOW);
    let (mut client, connection) = settings.handshake::<_, Bytes>(stream).await.unwrap();
    let driven = tokio::spawn(connection);
    let address = server.address().to_string();

    let still = ask(&mut client, &address, &nar).await;
    // The connection is anything but still meanwhile.
    for _ in 0..30 {
        let other = ask(&mut client, &address, &narinfo).await;
        assert_eq!(taken(other).await.unwrap(), text.as_bytes());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let given_up = taken(still).await.expect_err("it was kept for a client that does not take it");
    assert!(given_up.is_reset() && given_up.is_remote(), "{given_up:?}");
    let whole = ask(&mut client, &address, &nar).await;
    assert_eq!(taken(whole).await.unwrap().len(), length);
    assert!(!driven.is_finished(), "the connection is still there");
}
