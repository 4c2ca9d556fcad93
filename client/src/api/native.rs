//! Native push over HTTP.

use std::time::Duration;

use protocol::{
    CacheName, ChunkHash, ChunkSizes, ChunkSizesError, ErrorBody, ErrorCode,
    push::{Bitmap, CONTENT_TYPE, MAX_ASKED, PathOutcome, PathResult, PushParameters, VERSION},
};
use reqwest::{Method, Response, StatusCode, header};
use serde::{Deserialize, de::Error as _};
use url::Url;

use super::{Api, ApiError, NarBody, Refusal, Repeat, parse};

/// No line of an answer is longer: one path, one message for people.
const MAX_LINE_BYTES: usize = 64 << 10;

/// What a server knows of native push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushSupport {
    /// The version that we know.
    Native(PushParameters),
    /// Another version.
    Other {
        /// Which.
        version: u32,
    },
    /// Nothing.
    None,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Api {
    /// How to push to `cache` natively.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn push_parameters(&self, cache: &CacheName) -> Result<PushSupport, ApiError> {
        let url = self.native_url(cache, "push");
        let answer = match self.send_small(&Method::GET, &url, None, Repeat::Freely).await {
            Ok(answer) => answer,
            Err(ApiError::Refused(refusal)) if lacks_native_push(&refusal) => return Ok(PushSupport::None),
            Err(error) => return Err(error),
        };
        let Version { version } = parse(&url, &answer)?;
        if version != VERSION {
            return Ok(PushSupport::Other { version });
        }
        let parameters: PushParameters = parse(&url, &answer)?;
        match usable(&parameters.chunking) {
            Ok(chunking) => Ok(PushSupport::Native(PushParameters { chunking, ..parameters })),
            Err(error) => Err(ApiError::Answer { url, source: serde_json::Error::custom(error) }),
        }
    }

    /// Which of `chunks`, at most [`MAX_ASKED`], have to be sent, by position.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn missing_chunks(&self, cache: &CacheName, chunks: &[ChunkHash]) -> Result<Bitmap, ApiError> {
        debug_assert!(chunks.len() <= MAX_ASKED, "the caller asks in portions");
        let url = self.native_url(cache, "missing-chunks");
        let digests: Vec<u8> = chunks.iter().flat_map(|hash| *hash.as_bytes()).collect();
        let body = ("application/octet-stream", digests.into());
        let answer = self.send_small(&Method::POST, &url, Some(&body), Repeat::Freely).await?;
        Bitmap::from_bytes(answer, chunks.len()).ok_or_else(|| ApiError::Answer {
            url,
            source: serde_json::Error::custom(format!("it should be a bitmap of {} chunks", chunks.len())),
        })
    }

    /// Sends one stream of paths, once; `heard` takes the result of each path when it comes, which may be long before the end.
    ///
    /// `patience` says how much longer than usual the server may take for its next result, since it has to read back what it
    /// had: it is asked whenever the wait begins.
    ///
    /// # Errors
    /// Refused as a whole, cut off, or standing still for longer than the stall timeout.
    pub async fn push_stream(
        &self,
        cache: &CacheName,
        body: NarBody,
        mut heard: impl FnMut(PathResult),
        patience: impl Fn() -> Duration,
    ) -> Result<(), ApiError> {
        let url = self.native_url(cache, "push");
        let (body, mut pace) = body.into_body(None);
        self.traffic.request();
        let request = self.http.post(url.clone()).header(header::CONTENT_TYPE, CONTENT_TYPE).body(body);
        let request = self.login.authorize(request).await;
        let limit = self.settings.stall_timeout;
        let stalled = || ApiError::Stalled { url: url.clone(), limit };
        let failed = |source| ApiError::transport(&self.settings.endpoint, source);
        let response = tokio::select! {
            response = request.send() => response.map_err(failed)?,
            () = pace.stalled(limit, &patience) => return Err(stalled()),
        };
        if response.status() != StatusCode::OK {
            return self.answer(&url, Ok(response)).await.map(drop);
        }
        let mut lines = Lines::new(&url, response);
        loop {
            let line = tokio::select! {
                line = lines.next() => line,
                () = pace.stalled(limit, &patience) => return Err(stalled()),
            };
            match line {
                Ok(Some(result)) => heard(result),
                Ok(None) => return Ok(()),
                Err(LineError::Transport(source)) => return Err(failed(source)),
                Err(LineError::Answer(source)) => return Err(ApiError::Answer { url, source }),
                Err(LineError::TooLong) => return Err(ApiError::AnswerTooLong { url }),
            }
        }
    }

    /// What the server said of one path of a stream, as the error that it is.
    ///
    /// `None` if the path is in the cache.
    #[must_use]
    pub fn refusal_of(&self, cache: &CacheName, outcome: PathOutcome) -> Option<ApiError> {
        let (code, error, message) = match outcome {
            PathOutcome::Stored { .. } | PathOutcome::KeptOther => return None,
            PathOutcome::ChunksMissing => {
                let message = "The server lost chunks of the path again and again while it was sent.".to_owned();
                (Some(ErrorCode::DamagedNar), ErrorCode::DamagedNar.name().to_owned(), message)
            }
            PathOutcome::Refused { error, message, retryable } => {
                let code = ErrorCode::ALL.iter().copied().find(|code| code.name() == error);
                (code.or(retryable.then_some(ErrorCode::Unavailable)), error, message)
            }
        };
        let status = code.map_or(400, ErrorCode::status);
        let body = ErrorBody { code: status, error, message, hint: None };
        Some(ApiError::Refused(Box::new(Refusal::of_path(self.native_url(cache, "push"), status, body))))
    }

    /// An error of our own that ends a stream like one of the server's would.
    pub(crate) fn refusal(&self, cache: &CacheName, code: ErrorCode, message: String) -> ApiError {
        let body = ErrorBody { code: code.status(), error: code.name().to_owned(), message, hint: None };
        ApiError::Refused(Box::new(Refusal::of_path(self.native_url(cache, "push"), code.status(), body)))
    }

    fn native_url(&self, cache: &CacheName, what: &str) -> Url {
        self.url_of(["_flywheel", "v1", "caches", cache.as_str(), what])
    }
}

/// The sizes, checked: they come from outside, and a cutter takes them for right.
fn usable(sizes: &ChunkSizes) -> Result<ChunkSizes, ChunkSizesError> {
    let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    ChunkSizes::new(
        number(sizes.nar_size_threshold()),
        number(sizes.min_size()),
        number(sizes.avg_size()),
        number(sizes.max_size()),
    )
}

/// Tells whether nothing is at the address: a server without native push, and not one without the cache.
fn lacks_native_push(refusal: &Refusal) -> bool {
    let absent =
        matches!(refusal.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED);
    absent && refusal.code() != Some(ErrorCode::NoSuchCache)
}

/// Lines of JSON as they arrive.
struct Lines<'a> {
    url: &'a Url,
    response: Response,
    buffer: Vec<u8>,
    /// How much of the buffer has been given already.
    given: usize,
    ended: bool,
}

enum LineError {
    Transport(reqwest::Error),
    Answer(serde_json::Error),
    TooLong,
}

impl<'a> Lines<'a> {
    fn new(url: &'a Url, response: Response) -> Self {
        Self { url, response, buffer: Vec::new(), given: 0, ended: false }
    }

    /// The next line; can be dropped while it waits without losing anything.
    async fn next(&mut self) -> Result<Option<PathResult>, LineError> {
        loop {
            let rest = &self.buffer[self.given..];
            if let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                let line = &rest[..end];
                self.given += end + 1;
                if !line.trim_ascii().is_empty() {
                    return serde_json::from_slice(line).map(Some).map_err(LineError::Answer);
                }
            } else if self.ended {
                return if rest.trim_ascii().is_empty() {
                    Ok(None)
                } else {
                    Err(LineError::Answer(serde_json::Error::custom(format!("{} ended in a line", self.url))))
                };
            } else if rest.len() > MAX_LINE_BYTES {
                return Err(LineError::TooLong);
            } else {
                self.buffer.drain(..self.given);
                self.given = 0;
                match self.response.chunk().await.map_err(LineError::Transport)? {
                    Some(piece) => self.buffer.extend_from_slice(&piece),
                    None => self.ended = true,
                }
            }
        }
    }
}
