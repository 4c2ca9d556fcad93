//! What may happen to a request and its answer on their way.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use s3s::Body;

/// A request that is about to be disturbed, or not.
#[derive(Debug)]
pub struct Asked<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// The path, with the bucket.
    pub path: &'a str,
    /// What follows the question mark.
    pub query: &'a str,
    /// How many requests came before.
    pub number: u64,
}

/// How a request is disturbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It waits before it reaches the service.
    Delay(Duration),
    /// It does not reach the service; the connection is closed without an answer.
    Refuse,
    /// It does not reach the service, and is answered with this status and S3 error code.
    Answer(u16, &'static str),
    /// One bit of its body is changed.
    FlipRequest,
    /// It takes effect, and the connection is closed without an answer.
    LoseAnswer,
    /// It takes effect, and the connection is closed in the middle of the answer's body.
    CutAnswer,
    /// It takes effect, and the answer claims to be shorter than it is, consistently but for `Content-Range`.
    ShortenAnswer,
    /// It takes effect, and one bit of the answer's body is changed.
    FlipAnswer,
    /// It does not reach the service, and is answered with this XML.
    Say(&'static str),
}

/// The connection is to be closed.
#[derive(Debug)]
pub(crate) struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

/// The answer that an S3 service gives with an error.
pub(crate) fn refusal(status: u16, code: &str) -> Response<Body> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>"
    );
    said(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), xml.into())
}

pub(crate) fn said(status: StatusCode, xml: Bytes) -> Response<Body> {
    let mut answer = Response::new(Body::from(xml));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

pub(crate) fn flip(bytes: &Bytes) -> Bytes {
    let mut changed = bytes.to_vec();
    let middle = changed.len() / 2;
    if let Some(byte) = changed.get_mut(middle) {
        *byte ^= 1;
    }
    changed.into()
}

/// The whole of a body.
pub(crate) async fn collected(body: Body) -> Result<Bytes, Closed> {
    body.collect().await.map(http_body_util::Collected::to_bytes).map_err(|_| Closed)
}

impl Fault {
    /// The answer as it leaves.
    pub(crate) async fn disturb(&self, answer: Response<Body>) -> Result<Response<Body>, Closed> {
        match self {
            Self::LoseAnswer => Err(Closed),
            Self::CutAnswer => {
                let (mut head, body) = answer.into_parts();
                let body = collected(body).await?;
                // An answer to HEAD tells a length of what it does not have.
                if body.is_empty() {
                    return Ok(Response::from_parts(head, Body::empty()));
                }
                head.headers.insert(header::CONTENT_LENGTH, body.len().into());
                let half = body.slice(..body.len() / 2);
                let pieces = [Ok(Frame::data(half)), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
                Ok(Response::from_parts(head, Body::http_body_unsync(StreamBody::new(stream::iter(pieces)))))
            }
            Self::ShortenAnswer => {
                let (mut head, body) = answer.into_parts();
                let body = collected(body).await?;
                if body.is_empty() {
                    return Ok(Response::from_parts(head, Body::empty()));
                }
                let half = body.slice(..body.len() / 2);
                head.headers.insert(header::CONTENT_LENGTH, half.len().into());
                Ok(Response::from_parts(head, Body::from(half)))
            }
            Self::FlipAnswer => {
                let (head, body) = answer.into_parts();
                Ok(Response::from_parts(head, Body::from(flip(&collected(body).await?))))
            }
            Self::Delay(_) | Self::Refuse | Self::Answer(..) | Self::FlipRequest | Self::Say(_) => Ok(answer),
        }
    }
}
