//! What can go wrong between us and the server.

use std::time::Duration;

use protocol::{ErrorBody, ErrorCode};
use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use url::Url;

use crate::retry::{Again, Retryable};

/// How much of an answer that is not ours is repeated in an error.
const SHOWN_CHARS: usize = 200;

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The token has characters that no header may have.
    #[error("the token contains characters that cannot be sent")]
    Token,
    /// The HTTP client cannot be made.
    #[error("cannot set up HTTP")]
    Setup(#[source] reqwest::Error),
    /// No connection: no such host, nobody listening, no TLS.
    #[error("cannot reach {endpoint}")]
    Unreachable {
        /// The server.
        endpoint: Url,
        /// Why not.
        source: reqwest::Error,
    },
    /// The connection broke, or the answer took too long.
    #[error("the connection to {endpoint} broke")]
    Broken {
        /// The server.
        endpoint: Url,
        /// How.
        source: reqwest::Error,
    },
    /// An upload stood still.
    #[error("{url} took no more bytes for {limit:?}")]
    Stalled {
        /// Where to.
        url: Url,
        /// For how long.
        limit: Duration,
    },
    /// The server says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The answer is not what the API promises.
    #[error("{url} answered something that the API does not know")]
    Answer {
        /// What was asked.
        url: Url,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The answer does not end.
    #[error("the answer of {url} is too long")]
    AnswerTooLong {
        /// What was asked.
        url: Url,
    },
}

/// An answer other than success.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What was asked.
    pub url: Url,
    /// The HTTP status.
    pub status: StatusCode,
    /// The error body, if the answer had one.
    pub body: Option<ErrorBody>,
    /// The beginning of the answer, if it was something else.
    text: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(url: Url, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        // Only the form in seconds: servers that push back use it, and a date would need the server's clock.
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let parsed = serde_json::from_slice(body).ok();
        let visible = |c: &char| !c.is_control();
        let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN_CHARS)]);
        let text = text.chars().filter(visible).take(SHOWN_CHARS).collect();
        Self { url, status, body: parsed, text, retry_after: retry_after.map(Duration::from_secs) }
    }

    /// What was said of one path of many.
    pub(super) fn of_path(url: Url, status: u16, body: ErrorBody) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { url, status, body: Some(body), text: String::new(), retry_after: None }
    }

    /// The error's stable code, if it is one that we know.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        let name = &self.body.as_ref()?.error;
        ErrorCode::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// What the server suggests.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.body.as_ref()?.hint.as_deref()
    }

    fn is_temporary(&self) -> bool {
        if let Some(code) = self.code() {
            return code.is_retryable();
        }
        let permanent = matches!(self.status, StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            || self.status.is_server_error() && !permanent
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.body {
            Some(body) => write!(f, "{} ({}, status {})", body.message, body.error, self.status.as_u16()),
            None if self.text.is_empty() => write!(f, "{} answered {}", self.url, self.status),
            None => write!(f, "{} answered {}: {}", self.url, self.status, self.text),
        }
    }
}

impl ApiError {
    pub(super) fn transport(endpoint: &Url, source: reqwest::Error) -> Self {
        let endpoint = endpoint.clone();
        // The address is in the endpoint already; with it the text would be said twice.
        let source = source.without_url();
        if source.is_connect() { Self::Unreachable { endpoint, source } } else { Self::Broken { endpoint, source } }
    }

    /// Tells whether the server certainly did nothing.
    pub(super) fn left_server_untouched(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refusal) => {
                matches!(refusal.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Token
            | Self::Setup(_)
            | Self::Broken { .. }
            | Self::Stalled { .. }
            | Self::Answer { .. }
            | Self::AnswerTooLong { .. } => false,
        }
    }

    /// Tells whether the caller lacks a permission.
    #[must_use]
    pub fn is_not_allowed(&self) -> bool {
        matches!(self, Self::Refused(refusal) if matches!(refusal.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    /// Tells whether the server could not be reached.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::Stalled { .. })
    }
}

impl Retryable for ApiError {
    fn again(&self) -> Again {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Stalled { .. } => Again::After(None),
            Self::Refused(refusal) if refusal.is_temporary() => Again::After(refusal.retry_after),
            Self::Token | Self::Setup(_) | Self::Refused(_) | Self::Answer { .. } | Self::AnswerTooLong { .. } => {
                Again::Never
            }
        }
    }
}
