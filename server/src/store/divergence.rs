//! Paths that stayed out because the cache has another NAR of them: two builders made different things of one path, and that is
//! remembered of both, as if they had said so.

use database::{Database, NewPath, ObservedFact, PromotionFact};
use formats::StorePath;
use protocol::{CacheName, Timestamp, promotion::Observation};

use crate::{journal::Journal, metrics as names};

/// Notes what both builders have. Best effort, for the push has done what it does; without it nothing is promoted that should not
/// be, since claims are compared with the NAR that the cache has.
pub(super) async fn note(journal: &Journal, database: &dyn Database, cache: &str, path: &NewPath) {
    // What an import brings is nobody's word.
    let (Ok(cache), Some(builder)) = (cache.parse::<CacheName>(), &path.pushed_by) else { return };
    let held = match database.holdings(path.info.path.hash()).await {
        Ok(held) => held,
        Err(error) => return tracing::warn!(%error, "what builders disagree about could not be looked up"),
    };
    let Some((_, kept)) = held.into_iter().find(|(_, held)| held.cache == cache) else { return };
    // A builder whose build comes out differently each time is one builder.
    if kept.nar_hash == path.info.nar_hash || kept.pushed_by.as_ref() == Some(builder) {
        return;
    }
    let name = &path.info.path;
    if let Some(first) = &kept.pushed_by {
        observe(journal, database, &cache, path, fact(first, name, kept.nar_hash, kept.pushed_at)).await;
    }
    observe(journal, database, &cache, path, fact(builder, name, path.info.nar_hash, path.now)).await;
    metrics::counter!(names::DIVERGENCES, "cache" => cache.to_string()).increment(1);
    tracing::error!(cache.name = %cache, path = %name, first = ?kept.pushed_by, second = %builder, "builders disagree");
}

fn fact(builder: &str, path: &StorePath, nar_hash: formats::NarHash, at: Timestamp) -> ObservedFact {
    ObservedFact { builder: builder.to_owned(), seen: vec![Observation { path: path.clone(), nar_hash }], at }
}

async fn observe(journal: &Journal, database: &dyn Database, cache: &CacheName, path: &NewPath, fact: ObservedFact) {
    let ObservedFact { builder, seen, at } = fact.clone();
    if let Err(error) = journal.note_said(cache, PromotionFact::Observed(fact)).await {
        tracing::warn!(%error, "what a builder saw could not be recorded in the storage");
    }
    if let Err(error) = database.observe(path.cache, &builder, &seen, at).await {
        tracing::warn!(%error, "what a builder saw could not be noted");
    }
}
