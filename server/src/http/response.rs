//! Answers with a body that is at hand.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

/// A text that may be kept for a short while.
pub(super) fn text(content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}

/// Whether the client has this version already.
pub(super) fn is_unchanged(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/").as_bytes() == etag.as_bytes())
}

/// Says that the client has this version already.
pub(super) fn unchanged(etag: HeaderValue, cache_control: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, cache_control);
    headers.insert(header::ETAG, etag);
    response
}

/// A strong entity tag made of a digest; never empty, which old versions of Nix take for 304.
///
/// # Panics
/// Never: digits and letters make a valid header.
pub(super) fn etag(digest: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{digest}\"")).expect("digits and letters make a valid header")
}

/// How long an answer may be kept, and by whom.
pub(super) fn cache_control(is_public: bool, public: &'static str, private: &'static str) -> HeaderValue {
    HeaderValue::from_static(if is_public { public } else { private })
}
