//! A server for tests that answers what it is told to, and remembers what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use url::Url;

use crate::{
    api::{Api, Settings},
    retry::RetryPolicy,
};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers, once it has read the whole request.
    Answer(u16, &'static str, String),
    /// Answers after the head of the request, and reads no more.
    AnswerEarly(u16, &'static str),
    /// Closes the connection after so many bytes of the body.
    Cut(usize),
    /// Reads the head and falls silent.
    Hang,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Answer(status, "", body.to_owned())
    }

    pub(crate) fn error(status: u16, name: &str) -> Self {
        Self::json(status, &format!(r#"{{"code":{status},"error":"{name}","message":"As {name} says."}}"#))
    }
}

/// What the server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    /// What arrived of the body.
    pub(crate) body: Vec<u8>,
}

pub(crate) struct FakeServer {
    pub(crate) endpoint: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeServer {
    /// Answers requests with `replies`, in turn, and with 418 when they are used up.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&replies), Arc::clone(&noted)));
            }
        });
        Self { endpoint, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A client of this server that tries three times and does not wait between.
    pub(crate) fn api(&self, adjust: impl FnOnce(&mut Settings)) -> Api {
        let mut settings = Settings::new(self.endpoint.clone(), Some("T".to_owned()));
        settings.retry = RetryPolicy {
            attempts: 3.try_into().unwrap(),
            base: Duration::ZERO,
            cap: Duration::ZERO,
            longest_asked: Duration::from_millis(1),
        };
        adjust(&mut settings);
        Api::new(settings).unwrap()
    }
}

/// Serves one request; the connection ends with it.
async fn serve(connection: TcpStream, replies: Arc<Mutex<VecDeque<Reply>>>, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut connection = BufReader::new(connection);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = connection.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
    let reply = replies.lock().unwrap().pop_front().unwrap_or(Reply::error(418, "Unexpected"));
    let wanted = match reply {
        Reply::Answer(..) => length,
        Reply::Cut(bytes) => bytes.min(length),
        Reply::AnswerEarly(..) | Reply::Hang => 0,
    };
    let mut body = Vec::new();
    // What did not arrive is not in what is noted; that is all a test needs to know.
    let _ = (&mut connection).take(wanted as u64).read_to_end(&mut body).await;
    asked.lock().unwrap().push(Asked { head, body });
    let answer = match reply {
        Reply::Answer(status, headers, body) => {
            format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
        }
        Reply::AnswerEarly(status, body) => {
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
        Reply::Cut(_) => return,
        Reply::Hang => std::future::pending().await,
    };
    let _ = connection.write_all(answer.as_bytes()).await;
    if wanted < length {
        std::future::pending::<()>().await;
    }
}
