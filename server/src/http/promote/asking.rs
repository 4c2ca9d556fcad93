//! Who asks for a change of what is promoted.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

use crate::{
    app::App,
    audit::Deed,
    http::{
        ApiError,
        audited::{Origin, audited},
    },
};

/// Somebody who asks for a change.
pub(in crate::http) struct Asking {
    app: App,
    headers: HeaderMap,
    origin: Origin,
}

impl FromRequestParts<App> for Asking {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let Ok(origin) = Origin::from_request_parts(parts, app).await;
        Ok(Self { app: app.clone(), headers: parts.headers.clone(), origin })
    }
}

impl Asking {
    /// Does what `work` does, writes down who did it, and answers once the storage knows of it, too.
    pub(super) async fn to<T>(
        self,
        deed: Deed,
        work: impl AsyncFnOnce(&App, &HeaderMap) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let Self { app, headers, origin } = &self;
        audited(app, headers, origin, deed, changed(app, async || work(app, headers).await)).await
    }
}

/// Changes something about promotion and has the storage know of it.
pub(super) async fn changed<T>(app: &App, work: impl AsyncFnOnce() -> Result<T, ApiError>) -> Result<T, ApiError> {
    let done = work().await?;
    app.journal.note_promotions(&*app.database).await?;
    Ok(done)
}
