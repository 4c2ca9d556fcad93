//! Clients that ask for NARs and do not take them: they cost bounded memory, and nobody waits for them for ever.

use std::{io::Write, net::TcpStream, time::Duration};

use reqwest::Method;

use super::idle::until_closed;
use crate::harness::{Http, Node, Seed, Server, TestPath, answer};

/// Memory for one extent: whoever holds it holds up all others.
const SMALL_MEMORY: &str = "[flywheel.limits]\nmax-read-memory = \"1 MiB\"\n";

/// Far more than what the system takes off the server's hands for a client that does not read.
fn large() -> TestPath {
    TestPath::new("large", &Node::noise(&mut Seed::new(7, "slow readers"), 40 << 20))
}

async fn nar_of(http: &Http, path: &TestPath) -> String {
    let narinfo = http.get(&format!("/main/{}.narinfo", path.hash())).await.expect(200).text();
    narinfo.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap().to_owned()
}

/// Asks for a NAR, and does not read.
fn stalled(server: &Server, nar: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /main/{nar} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    stream
}

#[tokio::test]
async fn a_server_that_has_no_memory_left_says_so_and_goes_on() {
    let server = Server::builder().config(SMALL_MEMORY).start();
    let http = server.admin();
    let key = http.public_key("main").await;
    let path = large();
    http.upload("main", &path).await.expect(200);
    let nar = nar_of(&http, &path).await;
    let mut holding = Vec::new();
    // How soon one that does not read holds the memory is the system's business.
    for n in 0..5 {
        holding.push(stalled(&server, &nar));
        tokio::time::sleep(Duration::from_secs(1)).await;
        // In the same pack, and never read before: what was read lately takes no memory.
        let part = format!("bytes={}-{}", (12 + 2 * n) << 20, ((12 + 2 * n) << 20) + 9);
        let answer = answer(http.request(Method::GET, &format!("/main/{nar}")).header("range", part)).await;
        if answer.status == 206 {
            continue;
        }
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"));
        let metrics = http.get("/metrics").await.expect(200).text();
        assert!(metrics.lines().any(|line| line == "flywheel_refused_reads_total 1"), "{metrics}");
        // Whatever takes no such memory is answered as ever.
        http.get(&format!("/main/{}.narinfo", path.hash())).await.expect(200);
        drop(holding);
        http.pull_same("main", &path, &key).await;
        return;
    }
    panic!("clients that do not read cost nothing");
}

/// The system sends it from its own memory.
#[tokio::test]
async fn what_was_read_lately_takes_no_memory() {
    let server = Server::builder().config(SMALL_MEMORY).start();
    if !server.backing().is_folder() {
        // A bucket has nothing that the system could send.
        return;
    }
    let http = server.admin();
    let key = http.public_key("main").await;
    let path = large();
    http.upload("main", &path).await.expect(200);
    http.pull_same("main", &path, &key).await;
    let nar = nar_of(&http, &path).await;
    let holding: Vec<TcpStream> = (0..20).map(|_| stalled(&server, &nar)).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    http.pull_same("main", &path, &key).await;
    drop(holding);
}

#[tokio::test]
async fn who_takes_nothing_is_given_up_and_the_others_are_served() {
    let server = Server::builder().config(format!("{SMALL_MEMORY}body-idle-timeout = \"1s\"\n")).start();
    let http = server.admin();
    let key = http.public_key("main").await;
    let path = large();
    http.upload("main", &path).await.expect(200);
    let nar = nar_of(&http, &path).await;
    let stalled: Vec<TcpStream> = (0..2).map(|_| stalled(&server, &nar)).collect();
    // Takes its turns with them, and outlasts them.
    http.pull_same("main", &path, &key).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut given_up = 0;
    for stream in stalled {
        let got = tokio::task::spawn_blocking(move || until_closed(stream)).await.unwrap();
        given_up += usize::from(got.len() < path.nar.len());
    }
    assert!(given_up > 0, "nobody was given up");
}
