//! A server with native push for tests: it keeps what it is sent, checks all of it, and fails where it is told to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use formats::NarHash;
use protocol::{
    ChunkHash, ChunkSizes, Manifest,
    attic::UploadPathNarInfo,
    push::{
        Bitmap, ChunkMessage, Message, PartMessage, PathMessage, PathOutcome, PathResult, PushParameters, StreamReader,
        VERSION,
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use url::Url;

use crate::{
    api::{Api, Settings},
    retry::RetryPolicy,
};

/// What the server has, and what it is going to do wrong.
#[derive(Default)]
pub(super) struct State {
    pub(super) chunks: HashMap<ChunkHash, Vec<u8>>,
    /// NARs by the base names of their paths.
    pub(super) paths: BTreeMap<String, Vec<u8>>,
    /// What was asked, in order: the last part of the address, or the outline of a stream.
    pub(super) asked: Vec<String>,
    /// The sizes of the streams.
    pub(super) streams: Vec<usize>,
    pub(super) max_stream_bytes: Option<u64>,
    pub(super) version: Option<u32>,
    /// Cuts the connection after so many bytes of a stream, once for each.
    pub(super) cuts: Vec<usize>,
    /// Forgets all chunks before the first path of a stream is looked at, so often.
    pub(super) forgets: usize,
    /// Paths that are refused, by name: for good, or so often.
    pub(super) refuses: HashMap<String, Option<usize>>,
    /// Answers streams with this status.
    pub(super) status: Option<u16>,
    /// Says nothing of paths that arrived, so often.
    pub(super) mute: usize,
    /// Whether a path may come though what it refers to did not.
    pub(super) loses_references: bool,
    /// Streams larger than this get 413, from somebody on the way.
    pub(super) proxy_limit: Option<usize>,
}

pub(super) struct Fake {
    pub(super) endpoint: Url,
    state: Arc<Mutex<State>>,
}

pub(super) fn sizes() -> ChunkSizes {
    ChunkSizes::new(2048, 1024, 4096, 16384).unwrap()
}

impl Fake {
    pub(super) async fn start(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&shared)));
            }
        });
        Self { endpoint, state }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A client that tries four times and does not wait between.
    pub(super) fn api(&self) -> Api {
        let mut settings = Settings::new(self.endpoint.clone(), None);
        settings.retry = RetryPolicy {
            attempts: 4.try_into().unwrap(),
            base: Duration::ZERO,
            cap: Duration::ZERO,
            longest_asked: Duration::from_millis(1),
        };
        Api::new(settings).unwrap()
    }
}

/// Serves one request; the connection ends with it. Nothing if it was cut.
async fn serve(connection: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let mut connection = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let target = head.split(' ').nth(1)?.to_owned();
    let what = target.rsplit('/').next()?.to_owned();
    let get = head.starts_with("GET");
    let (status, answer) = if what == "push" && !get {
        let limit = state.lock().unwrap().cuts.pop();
        let (body, whole) = body(&mut connection, &head, limit).await?;
        let answer = take(&mut state.lock().unwrap(), &body, whole);
        whole.then_some(answer)?
    } else {
        let (body, _) = body(&mut connection, &head, None).await?;
        let mut state = state.lock().unwrap();
        state.asked.push(what.clone());
        match what.as_str() {
            "get-missing-paths" => (200, missing_paths(&state, &body)),
            "missing-chunks" => (200, missing_chunks(&state, &body)),
            "push" => (200, parameters(&state)),
            _ => (200, b"{}".to_vec()),
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
    connection.write_all(&[head.as_bytes(), &answer].concat()).await.ok()
}

/// The body of a request, up to about `limit`, and whether that is all of it.
async fn body(connection: &mut BufReader<TcpStream>, head: &str, limit: Option<usize>) -> Option<(Vec<u8>, bool)> {
    let lower = head.to_lowercase();
    let mut body = Vec::new();
    if let Some(length) = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()) {
        body.resize(length, 0);
        connection.read_exact(&mut body).await.ok()?;
    } else if lower.contains("transfer-encoding: chunked") {
        loop {
            let mut size = String::new();
            connection.read_line(&mut size).await.ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut piece = vec![0; size + 2];
            connection.read_exact(&mut piece).await.ok()?;
            body.extend_from_slice(&piece[..size]);
            if limit.is_some_and(|limit| body.len() >= limit) {
                body.truncate(limit.unwrap_or(body.len()));
                return Some((body, false));
            }
            if size == 0 {
                break;
            }
        }
    }
    Some((body, true))
}

fn missing_paths(state: &State, body: &[u8]) -> Vec<u8> {
    let asked: protocol::attic::GetMissingPathsRequest = serde_json::from_slice(body).unwrap();
    let there: BTreeSet<&str> = state.paths.keys().map(|name| &name[..32]).collect();
    let missing_paths =
        asked.store_path_hashes.into_iter().filter(|h| !there.contains(h.to_string().as_str())).collect();
    serde_json::to_vec(&protocol::attic::GetMissingPathsResponse { missing_paths }).unwrap()
}

fn missing_chunks(state: &State, body: &[u8]) -> Vec<u8> {
    let (digests, rest) = body.as_chunks::<32>();
    assert!(rest.is_empty() && !digests.is_empty());
    assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), digests.len(), "no chunk is asked about twice at once");
    let bitmap: Bitmap = digests.iter().map(|digest| !state.chunks.contains_key(&ChunkHash(*digest))).collect();
    bitmap.as_bytes().to_vec()
}

fn parameters(state: &State) -> Vec<u8> {
    serde_json::to_vec(&PushParameters {
        version: state.version.unwrap_or(VERSION),
        chunking: sizes(),
        max_stream_bytes: state.max_stream_bytes.unwrap_or(1 << 30),
        compression_level: 3,
    })
    .unwrap()
}

/// Takes a stream. Everything in it must be as the protocol says; a panic ends the connection, and so fails the test.
fn take(state: &mut State, body: &[u8], whole: bool) -> (u16, Vec<u8>) {
    state.streams.push(body.len());
    assert!(state.max_stream_bytes.is_none_or(|max| body.len() as u64 <= max), "a stream of {} bytes", body.len());
    if let Some(status) = state.status {
        state.asked.push(format!("status {status}"));
        return (status, Vec::new());
    }
    if state.proxy_limit.is_some_and(|limit| body.len() > limit) {
        state.asked.push("too large".to_owned());
        return (413, Vec::new());
    }
    let mut reader = StreamReader::default();
    reader.push(body);
    let mut outline = String::new();
    let mut waiting: Option<Waiting> = None;
    let mut results = Vec::new();
    let mut brought = BTreeSet::new();
    while let Some(message) = reader.next_message().unwrap() {
        match message {
            Message::Path(path) => {
                outline.push_str(&format!("{}:", &path.info.store_path[44..]));
                begin(state, &mut waiting, path.info, false);
                waiting.as_mut().unwrap().add(path.manifest, &path.sent);
            }
            Message::Opening(info) => {
                outline.push_str(&format!("{}(", &info.store_path[44..]));
                begin(state, &mut waiting, *info, true);
            }
            Message::Part(PartMessage { manifest, sent }) => {
                outline.push('|');
                waiting.as_mut().expect("a part has a path").add(manifest, &sent);
            }
            Message::Closing => {
                outline.push(')');
                waiting.as_mut().expect("an end has a path").in_parts = false;
            }
            Message::Withdrawal => {
                outline.push('!');
                assert!(waiting.take().unwrap().sent.is_empty());
            }
            Message::Chunk(chunk) => {
                let plain = plain(&chunk);
                assert!(brought.insert(chunk.hash), "a chunk that comes twice in a stream");
                match &mut waiting {
                    Some(Waiting { path, sent, .. }) => {
                        let position = sent.pop().unwrap();
                        assert_eq!(path.manifest.0[position].hash, chunk.hash, "chunks come as the manifest has them");
                        outline.push('c');
                    }
                    None => outline.push('l'),
                }
                state.chunks.insert(chunk.hash, plain);
            }
        }
        if let Some(Waiting { path, .. }) = waiting.take_if(|waiting| waiting.sent.is_empty() && !waiting.in_parts) {
            outline.push(' ');
            let outcome = complete(state, &path);
            results.push(PathResult { store_path: path.info.store_path, outcome });
        }
    }
    if whole {
        reader.finish().unwrap();
        assert!(waiting.is_none(), "a path without its chunks");
    }
    state.asked.push(format!("push {}", outline.trim()));
    if state.mute > 0 {
        state.mute -= 1;
        return (200, Vec::new());
    }
    let lines: Vec<u8> =
        results.iter().flat_map(|result| [&serde_json::to_vec(result).unwrap()[..], b"\n"].concat()).collect();
    (200, lines)
}

/// A path that has not all its chunks.
struct Waiting {
    path: PathMessage,
    /// The places of the chunks that are to come, the next one last.
    sent: Vec<usize>,
    in_parts: bool,
}

impl Waiting {
    fn add(&mut self, manifest: Manifest, sent: &Bitmap) {
        assert!(self.sent.is_empty(), "a part in the chunks of another");
        let before = self.path.manifest.0.len();
        self.sent.extend((0..manifest.0.len()).filter(|&at| sent.contains(at)).map(|at| before + at).rev());
        self.path.manifest.0.extend(manifest.0);
    }
}

fn begin(state: &mut State, waiting: &mut Option<Waiting>, info: UploadPathNarInfo, in_parts: bool) {
    assert!(waiting.is_none(), "a path in the chunks of another");
    if state.forgets > 0 {
        state.forgets -= 1;
        state.chunks.clear();
    }
    let path = PathMessage { info, manifest: Manifest::default(), sent: Bitmap::default() };
    *waiting = Some(Waiting { path, sent: Vec::new(), in_parts });
}

fn plain(chunk: &ChunkMessage) -> Vec<u8> {
    let size = zstd::zstd_safe::get_frame_content_size(&chunk.frame).unwrap().expect("a frame says its size");
    assert_eq!(size, u64::from(chunk.size));
    let plain = zstd::bulk::decompress(&chunk.frame, 16 << 20).unwrap();
    assert_eq!(ChunkHash::of(&plain), chunk.hash);
    plain
}

fn complete(state: &mut State, path: &PathMessage) -> PathOutcome {
    let name = path.info.store_path.rsplit('/').next().unwrap().to_owned();
    match state.refuses.get_mut(&name[33..]) {
        Some(None) => return refused("InvalidPathInfo", false),
        Some(Some(times)) if *times > 0 => {
            *times -= 1;
            return refused("Unavailable", true);
        }
        Some(Some(_)) | None => {}
    }
    let mut nar = Vec::new();
    for entry in &path.manifest.0 {
        match state.chunks.get(&entry.hash) {
            Some(plain) => nar.extend_from_slice(plain),
            None => return PathOutcome::ChunksMissing,
        }
    }
    assert_eq!(nar.len() as u64, path.info.nar_size);
    if format!("sha256:{}", NarHash::digest_of(&nar).hex()) != path.info.nar_hash {
        return refused("NarHashMismatch", false);
    }
    for reference in path.info.references.iter().filter(|reference| **reference != name) {
        assert!(state.loses_references || state.paths.contains_key(reference), "{name} comes before {reference}");
    }
    state.paths.insert(name, nar);
    PathOutcome::Stored { file_size: 1 }
}

fn refused(error: &str, retryable: bool) -> PathOutcome {
    PathOutcome::Refused { error: error.to_owned(), message: format!("As {error} says."), retryable }
}
