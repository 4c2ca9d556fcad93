//! What an answer costs, counted in calls of the operating system: a statement, a thread that is woken or a copy that comes in unseen
//! shows here, on any machine and at any load. The bounds are some fifth above what was counted when they were written; a statement
//! to the index takes about ten calls.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Node, Seed, Server, TestPath};

/// How often each thing is asked for: what the server does by itself meanwhile must not count.
const TIMES: u32 = 400;

/// Whether calls can be counted here; in `scripts/test` they must be.
fn counts() -> bool {
    let is_there = Command::new("strace").arg("--version").stdout(Stdio::null()).status().is_ok();
    assert!(is_there || std::env::var_os("REQUIRE_STRACE").is_none(), "strace is missing: apt-get install strace");
    is_there
}

/// A connection that is used again and again.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::with_capacity(1 << 20, stream))
    }

    fn ask(&mut self, request: &str, status: &str) -> Vec<u8> {
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut line, mut length) = (String::new(), 0);
        self.0.read_line(&mut line).unwrap();
        assert!(line.contains(status), "{line} in place of {status}");
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        body
    }

    /// How many calls of the system the server makes for one such answer.
    fn calls(&mut self, server: &Server, request: &str, status: &str) -> f64 {
        for _ in 0..20 {
            self.ask(request, status);
        }
        let file = server.scratch().join("calls");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-U", "calls,name", "-p", &server.pid().to_string(), "-o"]).arg(&file);
        let mut strace = strace.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // It says so when it has taken hold of the process.
        let mut said = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("attached") {
            assert!(said.read_line(&mut line).unwrap() > 0, "strace cannot look at the server: {line}");
        }
        for _ in 0..TIMES {
            self.ask(request, status);
        }
        kill_process(Pid::from_child(&strace), Signal::INT).unwrap();
        let _ = std::io::copy(&mut said, &mut std::io::sink());
        strace.wait().unwrap();
        let table = fs::read_to_string(&file).unwrap();
        let total = table.lines().find(|line| line.trim_end().ends_with("total")).expect("strace adds up");
        let calls = total.split_ascii_whitespace().next().unwrap().parse::<f64>().unwrap() / f64::from(TIMES);
        println!("{calls:.2} calls: {}", request.lines().next().unwrap_or_default());
        calls
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

#[tokio::test]
async fn what_nix_asks_most_takes_few_calls() {
    if !counts() {
        return;
    }
    let server = Server::new();
    if !server.backing().is_folder() {
        // What is counted is a folder's worth of calls; a bucket has its own costs.
        return;
    }
    let http = server.admin();
    let path = TestPath::new("one-extent", &Node::noise(&mut Seed::new(1, "guards"), 40_000));
    http.upload("main", &path).await.expect(200);
    let narinfo = format!("/main/{}.narinfo", path.hash());
    let text = http.get(&narinfo).await.expect(200).text();
    let nar = text.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
    let hashes: Vec<String> = (0..1000).map(|n| format!("\"{n:032}\"")).collect();
    let asked = format!("{{\"cache\":\"main\",\"store_path_hashes\":[{}]}}", hashes.join(","));
    let missing = format!(
        "POST /_api/v1/get-missing-paths HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{asked}",
        server.admin_token(),
        asked.len()
    );
    // The use of paths is written down now and then; what is first asked for is looked up.
    sleep(Duration::from_secs(1));
    let mut connection = Connection::open(&server);
    let narinfo = connection.calls(&server, &get(&narinfo), " 200 ");
    let none = connection.calls(&server, &get(&format!("/main/{:032}.narinfo", 0)), " 404 ");
    let nar = connection.calls(&server, &get(&format!("/main/{nar}")), " 200 ");
    let missing = connection.calls(&server, &missing, " 200 ");
    // Waiting, reading the request, where the index stands (for the cache and for the path), the answer, a line of the log.
    assert!(narinfo < 7.5, "a narinfo that is kept takes {narinfo} calls");
    assert!(none < 7.5, "a narinfo that is known not to be there takes {none} calls");
    // And one for the bytes.
    assert!(nar < 9.0, "a NAR of one extent takes {nar} calls");
    // One statement, whatever the number of paths.
    assert!(missing < 60.0, "a thousand missing paths take {missing} calls");
}
