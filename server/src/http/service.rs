//! The whole server as a service.

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use http_body::Body as _;
use hyper::body::Incoming;
use tower::Service as _;

use super::{linger::Peer, router, straight};
use crate::app::App;

/// Answers requests. Clones share everything.
#[derive(Clone)]
pub(crate) struct Service {
    app: App,
    routes: Router,
}

impl Service {
    /// The service of these parts.
    pub(crate) fn new(app: App) -> Self {
        Self { routes: router(app.clone()), app }
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: hyper::Request<Incoming>, peer: &Peer) -> Response {
        let with_body = |body: Incoming| if body.is_end_stream() { Body::empty() } else { Body::new(body) };
        let mut request: Request = request.map(with_body);
        if let Some(address) = straight::wanted(&request) {
            let (head, _) = request.into_parts();
            return straight::answer(&self.app, address, &head, peer).await;
        }
        request.extensions_mut().insert(ConnectInfo(peer.clone()));
        let Ok(response) = self.routes.clone().call(request).await;
        response
    }
}
