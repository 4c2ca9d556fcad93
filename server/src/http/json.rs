//! JSON in requests.

use axum::{body::Bytes, extract::Request};
use protocol::ErrorCode;
use serde::de::DeserializeOwned;

use super::ApiError;

/// The most that a small request may send: everything but lists of store paths.
const MAX_SMALL_BYTES: usize = 64 << 10;

/// Reads the body of a small request. Who is asking should be known by then.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    json_up_to(request, MAX_SMALL_BYTES).await
}

/// Reads the JSON of a request that has so many bytes at most.
pub(super) async fn json_up_to<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, ApiError> {
    from_json(&body_up_to(request, limit).await?)
}

/// Reads the body of a request that has so many bytes at most.
pub(super) async fn body_up_to(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(request.into_body(), limit).await.map_err(|_| {
        ApiError::new(ErrorCode::TooLarge, format!("The request is cut off, or larger than {limit} bytes."))
    })
}

/// Reads JSON.
pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::new(ErrorCode::RequestError, format!("The JSON is malformed: {error}")))
}
