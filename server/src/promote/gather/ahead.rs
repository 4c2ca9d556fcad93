//! Evidence before there is any: what a builder says that it has, for a verdict on trial.

use std::collections::BTreeMap;

use database::Cache;
use formats::StorePathHash;
use protocol::promotion::{Builder, CheckRequest, Seen};

use super::{GatherError, closure, derivations};
use crate::{
    app::App,
    promote::{evidence::Evidence, policy::Policy},
};

/// What could be gathered of a claim if it were filed now and all of its closure pushed. No NAR is read.
///
/// # Errors
/// If the index or the storage is away.
pub async fn gather_ahead(
    app: &App,
    policy: &Policy,
    cache: &Cache,
    asked: CheckRequest,
    builder: Builder,
) -> Result<Evidence, GatherError> {
    let CheckRequest { claim, closure: told } = asked;
    let derivations = derivations::read(app, cache, &claim.derivation, &policy.rules.derivation).await?;
    let roots = claim.outputs.values().map(|output| output.path.clone()).collect();
    let closure = closure::told(policy, cache, &roots, &told);
    let hashes: Vec<StorePathHash> = closure.paths.keys().chain(&roots).map(|path| *path.hash()).collect();
    let mut seen = app.database.observations(cache.id, &hashes).await?;
    let (at, by) = (app.clock.now(), &builder.subject);
    let own = claim.outputs.values().map(|output| Seen {
        path: output.path.clone(),
        builder: by.clone(),
        nar_hash: output.nar_hash,
        at,
    });
    seen.extend(own);
    Ok(Evidence {
        store_dir: cache.store_dir.clone(),
        resolutions: app.database.resolutions(cache.id, &hashes).await?,
        claim,
        builder,
        derivations,
        closure,
        scans: BTreeMap::new(),
        attested: Vec::new(),
        seen,
    })
}
