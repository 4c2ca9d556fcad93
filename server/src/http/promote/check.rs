//! A claim on trial: judged as far as it can be before anything is pushed, and not filed.

use axum::{
    Json,
    extract::{Request, State},
};
use protocol::{
    ErrorCode, Permission,
    promotion::{CheckRequest, PromotionManifest, Report},
};

use super::{claims, json as read_json, malformed};
use crate::{
    app::App,
    http::{
        ApiError,
        access::{self, InPath},
    },
    promote::{
        gather::{GatherError, gather_ahead},
        judge, policies,
    },
};

/// Says what would be found of a claim.
pub(in crate::http) async fn check(
    State(app): State<App>,
    InPath(name): InPath,
    request: Request,
) -> Result<Json<Report>, ApiError> {
    let (cache, caller) = access::cache(&app, request.headers(), &name, Permission::Push).await?;
    let asked: CheckRequest = read_json(request).await?;
    claims::well_formed(&asked.claim)?;
    let builder = claims::builder(&caller)?;
    let policy = policies::of(&app, cache.id).await?;
    let evidence = gather_ahead(&app, &policy, &cache, asked, builder).await?;
    // Of no closure that was ever here.
    let nothing = PromotionManifest { store_dir: cache.store_dir.clone(), roots: [].into(), paths: Vec::new() };
    let digest = nothing.digest().map_err(|error| malformed(error.to_string()))?;
    Ok(Json(judge::ahead(judge::judge(&policy, &evidence, digest, app.clock.now()))))
}

impl From<GatherError> for ApiError {
    fn from(error: GatherError) -> Self {
        match error {
            GatherError::Database(error) => error.into(),
            GatherError::Fetch(_) | GatherError::Http(_) | GatherError::Stopped => {
                Self::internal(&error, ErrorCode::Unavailable)
            }
        }
    }
}
