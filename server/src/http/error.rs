//! The one place that turns errors into answers.

use std::sync::LazyLock;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{ErrorBody, ErrorCode};

use crate::{
    fetch::FetchError,
    ingest::{IngestError, PathRefusal},
    journal::JournalError,
    store::StoreError,
};

/// An error as the client sees it.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    hint: Option<&'static str>,
}

/// What is said of an object that there is none of.
const ABSENT: &str = "The requested object does not exist.";

/// The body of the answer that Nix gets most: most of what it asks for is elsewhere.
static NO_SUCH_OBJECT: LazyLock<Bytes> = LazyLock::new(|| ApiError::no_such_object().render());

impl ApiError {
    /// An error with a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The kind of the error.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The status that it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Adds what to try.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// The caller may not know whether the thing exists. The same for everything, on purpose.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(ErrorCode::Unauthorized, "Unauthorized.").hint(
            "Log in, or put the token as the password for this host into the netrc file. An expired token is no token.",
        )
    }

    /// The caller is known, and may not do this.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(ErrorCode::AccessError, "Your token does not allow this.")
            .hint("Ask an admin for a token with the permission.")
    }

    /// No such cache.
    #[must_use]
    pub fn no_such_cache() -> Self {
        Self::new(ErrorCode::NoSuchCache, "The requested cache does not exist.")
    }

    /// Nothing of that name in the cache.
    #[must_use]
    pub fn no_such_object() -> Self {
        Self::new(ErrorCode::NoSuchObject, ABSENT)
    }

    /// The same, for one path of many.
    pub(super) fn into_refusal(self) -> PathRefusal {
        PathRefusal::Error { code: self.code, message: self.message }
    }

    fn render(&self) -> Bytes {
        let body = ErrorBody {
            code: self.code.status(),
            error: self.code.name().to_owned(),
            message: self.message.clone(),
            hint: self.hint.map(str::to_owned),
        };
        // Numbers and strings are always JSON.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }

    /// Something broke inside: the log has all, the client only that.
    pub fn internal(error: &(dyn std::error::Error + 'static), code: ErrorCode) -> Self {
        let mut chain = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            chain = format!("{chain}: {error}");
            source = error.source();
        }
        tracing::error!(error.code = code.name(), error = %chain, "a request failed inside the server");
        let message = match code {
            ErrorCode::DamagedNar => "The stored bytes are damaged; push the path again to heal it.",
            ErrorCode::Unavailable => "The server cannot do this at the moment; try again.",
            _ => "The server failed; its log says more.",
        };
        Self::new(code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let is_absent = self.code == ErrorCode::NoSuchObject && self.message == ABSENT && self.hint.is_none();
        let body = if is_absent { NO_SUCH_OBJECT.clone() } else { self.render() };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // An answer that something is not there must not outlive the push that brings it.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.code == ErrorCode::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"nix cache\""));
        }
        if self.code == ErrorCode::Unavailable {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<database::Error> for ApiError {
    fn from(error: database::Error) -> Self {
        let code = match &error {
            database::Error::Unavailable(_) => ErrorCode::Unavailable,
            database::Error::Inconsistent { .. } | database::Error::Failed(_) => ErrorCode::InternalServerError,
        };
        Self::internal(&error, code)
    }
}

impl From<JournalError> for ApiError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Database(error) => error.into(),
            JournalError::Storage(_) => Self::internal(&error, ErrorCode::Unavailable),
        }
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        match &error {
            IngestError::Store(StoreError::ElsewhereFailed | StoreError::Stopped) => {
                Self::new(ErrorCode::Unavailable, "The upload has to be repeated.")
            }
            IngestError::Store(inner) if inner.is_cache_gone() => Self::no_such_cache(),
            IngestError::Store(inner) => Self::internal(inner, error.code()),
            IngestError::NarNotUploaded(_) => {
                Self::new(error.code(), error.to_string()).hint("Put the NAR first, then its narinfo.")
            }
            IngestError::Body(_)
            | IngestError::Compression(_)
            | IngestError::Stream(_)
            | IngestError::Chunk(_)
            | IngestError::Nar(_)
            | IngestError::TooLarge(_)
            | IngestError::Bomb(_)
            | IngestError::NarHash { .. }
            | IngestError::NarSize { .. }
            | IngestError::File { .. } => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> Self {
        let code = match &error {
            FetchError::Damaged { .. } | FetchError::Length { .. } => ErrorCode::DamagedNar,
            FetchError::Storage(_) | FetchError::Overloaded => ErrorCode::Unavailable,
            FetchError::Database(_) => ErrorCode::InternalServerError,
        };
        Self::internal(&error, code)
    }
}
