//! Speaking HTTP to the server under test.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use protocol::attic::{NAR_INFO_HEADER, NAR_INFO_PREAMBLE_SIZE_HEADER, UploadPathNarInfo};
use reqwest::{Method, RequestBuilder};

use super::TestPath;

/// How long an answer may take, which is far more than it needs: nothing must hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client of one server, with or without a token.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http {
    pub(crate) fn new(base: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.timeout(PATIENCE).build().unwrap();
        Self { client, base: base.to_owned(), token: None }
    }

    /// The same with a token, sent as Bearer.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A request to be completed, for what the shorthands below do not say.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        assert!(path.starts_with('/'), "{path}");
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        answer(self.request(Method::HEAD, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        answer(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        answer(self.request(Method::PUT, path).body(body)).await
    }

    /// Sends JSON, with POST, PATCH or whatever.
    pub(crate) async fn send_json(&self, method: Method, path: &str, body: &serde_json::Value) -> Answer {
        answer(self.request(method, path).json(body)).await
    }

    /// Pushes a path by Attic's API, its metadata in the preamble. The answer may never come.
    pub(crate) async fn try_upload(&self, cache: &str, path: &TestPath) -> Result<Answer, reqwest::Error> {
        let about = serde_json::to_vec(&path.upload_info(cache)).unwrap();
        let size = about.len();
        let body = [about, path.nar.to_vec()].concat();
        let request = self.request(Method::PUT, "/_api/v1/upload-path");
        try_answer(request.header(NAR_INFO_PREAMBLE_SIZE_HEADER, size).body(body)).await
    }

    /// Pushes a path by Attic's API, its metadata in the preamble.
    pub(crate) async fn upload(&self, cache: &str, path: &TestPath) -> Answer {
        self.try_upload(cache, path).await.unwrap()
    }

    /// Pushes a NAR by Attic's API under any metadata, in the header.
    pub(crate) async fn upload_as(&self, about: &UploadPathNarInfo, nar: impl Into<reqwest::Body>) -> Answer {
        let about = serde_json::to_string(about).unwrap();
        answer(self.request(Method::PUT, "/_api/v1/upload-path").header(NAR_INFO_HEADER, about).body(nar)).await
    }

    /// Sends these very bytes over a connection of its own, and returns all that comes back until the server closes it.
    pub(crate) fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.base.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may have refused and closed before it read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Itself, if the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    try_answer(request).await.unwrap()
}

/// The same, where the server may be gone in the middle.
pub(crate) async fn try_answer(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, headers, body: response.bytes().await? })
}
