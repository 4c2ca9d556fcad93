//! The short way of the requests that come most: a narinfo, a NAR.
//!
//! The table of routes has nothing for them and hands them on, by way of half a dozen futures and bodies in boxes, which took
//! more time than the answers.

use axum::{extract::Request, http::request::Parts, response::Response};
use http_body::Body as _;

use super::{
    asked::Asked,
    linger::Peer,
    observe::Observed,
    substituter::{self, Answer},
    target::{Address, Target},
};
use crate::app::App;

/// What a request wants, if it is one of these.
pub(super) fn wanted(request: &Request) -> Option<Address> {
    let uri = request.uri();
    // A body would have to be read; and what begins like this is in the table.
    if !substituter::reads(request.method()) || !request.body().is_end_stream() || uri.path().starts_with("/_") {
        return None;
    }
    let address = Address::parse(uri.path(), uri.query())?;
    matches!(address.target, Target::NarInfo(_) | Target::Nar(_)).then_some(address)
}

/// Answers it.
pub(super) async fn answer(app: &App, address: Address, head: &Parts, peer: &Peer) -> Response {
    let observed = Observed::begin(&head.method, &head.uri);
    let Answer { response, route, cache } = substituter::read(app, address, Asked::by(head, peer)).await;
    observed.end(&response, route.0.into(), cache);
    response
}
