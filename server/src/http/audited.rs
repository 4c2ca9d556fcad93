//! Administrative acts of callers, written down.

use std::{convert::Infallible, net::IpAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, request::Parts},
};

use super::{ApiError, Peer, access};
use crate::{
    app::App,
    audit::{self, Deed, Who},
};

/// Where a request came from: the address of the peer, and behind it whom a proxy says that it speaks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<Peer>>() else { return Ok(Self(None)) };
        let peer = peer.address().ip().to_canonical();
        // The last one was added by the proxy that is nearest to us. If there is none, the client made it up: so the peer is told too.
        let told = parts.headers.get_all("x-forwarded-for").iter().next_back();
        let told = told.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
        Ok(Self(Some(match told {
            Some(client) => format!("{client} by {peer}"),
            None => peer.to_string(),
        })))
    }
}

impl Origin {
    /// The address, as the audit has it.
    pub(super) fn address(&self) -> Option<String> {
        self.0.clone()
    }
}

/// Who makes this request, for the audit.
pub(super) fn who(caller: &crate::auth::Caller, origin: &Origin) -> Who {
    Who::calling(caller, origin.0.clone())
}

/// Does what `work` does, and writes down that it was done, refused or failed.
///
/// That somebody without a good token was turned away is not written down: everybody can make that happen.
pub(super) async fn audited<T>(
    app: &App,
    headers: &HeaderMap,
    origin: &Origin,
    deed: Deed,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let caller = access::caller(app, headers).await?;
    let result = work.await;
    let deed = match &result {
        Ok(_) => deed,
        Err(error) => deed.went_wrong(error.status().as_u16(), error.code().name()),
    };
    if result.is_ok() || caller.subject().is_some() {
        audit::note(&*app.database, app.clock.now(), &who(&caller, origin), deed).await;
    }
    result
}
