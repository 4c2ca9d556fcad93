//! What a request for a file says beside the file's name.

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, Method, Version, request::Parts},
};

use super::{linger::Peer, outbox::Outbox};

/// How a file is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'r> {
    /// `GET` or `HEAD`.
    pub(super) method: &'r Method,
    pub(super) headers: &'r HeaderMap,
    /// Where parts of files go that the system may send by itself.
    pub(super) outbox: Option<&'r Outbox>,
}

impl<'r> Asked<'r> {
    /// What this request says.
    pub(super) fn of(request: &'r Request) -> Self {
        let peer = request.extensions().get::<ConnectInfo<Peer>>();
        Self {
            outbox: outbox(request.version(), peer.map(|ConnectInfo(peer)| peer)),
            method: request.method(),
            headers: request.headers(),
        }
    }

    /// What the head of a request of `peer` says.
    pub(super) fn by(head: &'r Parts, peer: &'r Peer) -> Self {
        Self { outbox: outbox(head.version, Some(peer)), method: &head.method, headers: &head.headers }
    }
}

/// In HTTP/2 every body is cut into pieces, and many share a connection.
fn outbox(version: Version, peer: Option<&Peer>) -> Option<&Outbox> {
    peer.filter(|_| version <= Version::HTTP_11).map(Peer::outbox)
}
