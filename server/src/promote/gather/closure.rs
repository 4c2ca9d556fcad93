//! The closure of a claim's outputs, here and in upstreams.

use std::collections::{BTreeMap, BTreeSet};

use database::Cache;
use formats::{PathInfo, PublicKey, StorePath};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::promotion::{CheckedPath, Origin};

use super::{
    GatherError,
    upstream::{Found, Upstreams},
};
use crate::{
    app::App,
    promote::{
        evidence::{ClosureFacts, SignatureFact},
        policy::Policy,
    },
};

/// How many paths are looked up at a time.
const AT_A_TIME: usize = 16;

enum Place {
    Known(Box<PathInfo>, Origin),
    Missing,
    Away(String),
}

/// Follows every reference from `roots` on.
pub(super) async fn walk(
    app: &App,
    policy: &Policy,
    cache: &Cache,
    roots: BTreeSet<StorePath>,
) -> Result<ClosureFacts, GatherError> {
    let rules = &policy.rules;
    let upstreams = Upstreams::new(&rules.closure.upstreams)?;
    let keys = known_keys(policy, cache);
    let mut facts = ClosureFacts::default();
    let mut next: BTreeMap<StorePath, Option<StorePath>> = roots.into_iter().map(|root| (root, None)).collect();
    while !next.is_empty() {
        if facts.paths.len() + next.len() > rules.closure.max_paths {
            facts.is_too_large = true;
            return Ok(facts);
        }
        let level = std::mem::take(&mut next);
        let upstreams = &upstreams;
        let found: Vec<_> = stream::iter(level)
            .map(|(path, by)| async move {
                let place = place(app, cache, upstreams, &path).await?;
                Ok::<_, GatherError>((path, by, place))
            })
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        for (path, by, place) in found {
            match place {
                Place::Missing => {
                    facts.missing.insert(path, by);
                }
                Place::Away(url) => {
                    if !facts.unreachable.contains(&url) {
                        facts.unreachable.push(url);
                    }
                    facts.missing.insert(path, by);
                }
                Place::Known(info, origin) => {
                    if origin == Origin::Cache {
                        check_signatures(cache, &keys, &info, &mut facts);
                    }
                    let references = info.references.iter().filter(|reference| **reference != path).cloned();
                    next.extend(references.map(|reference| (reference, Some(path.clone()))));
                    facts.paths.insert(path, (*info, origin));
                }
            }
        }
        next.retain(|path, _| !facts.paths.contains_key(path) && !facts.missing.contains_key(path));
    }
    Ok(facts)
}

/// The closure as a builder tells of it, all of which would be pushed.
pub(super) fn told(policy: &Policy, cache: &Cache, roots: &BTreeSet<StorePath>, told: &[CheckedPath]) -> ClosureFacts {
    let keys = known_keys(policy, cache);
    let mut facts =
        ClosureFacts { is_too_large: told.len() > policy.rules.closure.max_paths, ..ClosureFacts::default() };
    for CheckedPath { path, nar_hash, nar_size, references, signatures } in told {
        let info = PathInfo {
            path: path.clone(),
            nar_hash: *nar_hash,
            nar_size: *nar_size,
            references: references.clone(),
            deriver: None,
            signatures: signatures.clone(),
            ca: None,
        };
        check_signatures(cache, &keys, &info, &mut facts);
        facts.paths.insert(path.clone(), (info, Origin::Cache));
    }
    let referred = told.iter().flat_map(|one| one.references.iter().map(|path| (path, Some(one.path.clone()))));
    for (path, by) in roots.iter().map(|root| (root, None)).chain(referred) {
        if !facts.paths.contains_key(path) {
            facts.missing.insert(path.clone(), by);
        }
    }
    facts
}

/// The keys whose signatures can be judged.
fn known_keys(policy: &Policy, cache: &Cache) -> Vec<PublicKey> {
    let rules = &policy.rules;
    let own = cache.keys.iter().map(formats::SecretKey::public_key);
    let upstreams = rules.closure.upstreams.iter().flat_map(|upstream| upstream.keys.iter().cloned());
    own.chain(rules.signatures.keys.iter().cloned()).chain(upstreams).collect()
}

async fn place(app: &App, cache: &Cache, upstreams: &Upstreams<'_>, path: &StorePath) -> Result<Place, GatherError> {
    if let Some(row) = app.database.find_path(cache.id, path.hash()).await?
        && row.info.path == *path
    {
        return Ok(Place::Known(Box::new(row.info), Origin::Cache));
    }
    Ok(match upstreams.find(&cache.store_dir, path).await {
        Found::Here(info, origin) => Place::Known(info, origin),
        Found::Nowhere => Place::Missing,
        Found::Away(url) => Place::Away(url),
    })
}

/// Tells of each signature that a path came with whether it is good.
fn check_signatures(cache: &Cache, keys: &[PublicKey], info: &PathInfo, facts: &mut ClosureFacts) {
    let fingerprint = info.fingerprint(&cache.store_dir);
    for signature in &info.signatures {
        let of_that_name: Vec<_> = keys.iter().filter(|key| key.name() == signature.key_name()).collect();
        let fact = if of_that_name.iter().any(|key| key.verify(&fingerprint, signature)) {
            SignatureFact::Good
        } else if of_that_name.is_empty() {
            SignatureFact::Unknown
        } else {
            SignatureFact::Forged
        };
        facts.signatures.push((info.path.clone(), signature.key_name().clone(), fact));
    }
}
