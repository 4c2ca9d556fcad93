//! The derivations of a build, read from the evidence.

use std::collections::HashMap;

use database::{Cache, DocumentKind};
use formats::{Derivation, DerivationHash, StorePath};
use futures::TryStreamExt;

use super::GatherError;
use crate::{
    app::App,
    promote::{evidence::DerivationFacts, judge, policy::DerivationRules},
};

/// Reads a derivation and all that it needs, inputs first.
///
/// One derivation is in memory at a time: it is read once to see what it needs, and again when all of that is known.
pub(super) async fn read(
    app: &App,
    cache: &Cache,
    root: &StorePath,
    rules: &DerivationRules,
) -> Result<DerivationFacts, GatherError> {
    let mut facts = DerivationFacts::default();
    // What cannot be computed, since something is missing, is known to be so.
    let mut known: HashMap<StorePath, Option<DerivationHash>> = HashMap::new();
    let mut open = vec![root.clone()];
    while let Some(path) = open.pop() {
        if known.contains_key(&path) {
            continue;
        }
        if known.len() >= rules.max_derivations {
            facts.are_too_many = true;
            return Ok(facts);
        }
        let Some(derivation) = find(app, cache, &path).await? else {
            facts.missing.insert(path.clone());
            known.insert(path, None);
            continue;
        };
        let mut unknown: Vec<_> =
            derivation.input_derivations.keys().filter(|input| !known.contains_key(input)).cloned().collect();
        if !unknown.is_empty() {
            open.push(path);
            open.append(&mut unknown);
            continue;
        }
        facts.read += 1;
        facts.fixed += usize::from(derivation.is_fixed());
        facts.flagged.extend(
            rules.deny_flags.iter().filter(|flag| derivation.has_flag(flag)).map(|flag| (path.clone(), flag.clone())),
        );
        let hash_of = |input: &StorePath| known.get(input).copied().flatten();
        let outputs = derivation.output_paths(&cache.store_dir, path.name(), hash_of).ok();
        if let Some(computed) = &outputs {
            let agree = |name, output| computed.get(name).is_some_and(|path| judge::records(output, path));
            if !derivation.outputs.iter().all(|(name, output)| agree(name, output)) {
                facts.forged.push(path.clone());
            }
        }
        let hash = derivation.hash_modulo(&cache.store_dir, hash_of).ok();
        if path == *root {
            facts.outputs = outputs;
        }
        known.insert(path, hash);
    }
    Ok(facts)
}

/// The derivation, if the evidence has it. That it is the one of that name was seen when it came.
async fn find(app: &App, cache: &Cache, path: &StorePath) -> Result<Option<Derivation>, GatherError> {
    let document = app.database.find_document(cache.id, DocumentKind::Derivation, &path.to_string()).await?;
    let Some(document) = document else { return Ok(None) };
    let mut bytes = Vec::new();
    let mut pieces = std::pin::pin!(app.fetch.plain(&document.manifest, None).await?);
    while let Some(piece) = pieces.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(Derivation::parse(&cache.store_dir, &bytes).ok())
}
