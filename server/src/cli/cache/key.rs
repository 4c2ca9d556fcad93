//! `cache key`: several keys at once, so that a key can be changed without a moment in which clients trust none.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use database::{Act, Cache, CacheChange, Database};
use formats::{KeyName, SecretKey};
use protocol::CacheName;

use crate::{audit::Deed, journal::Journal};

use super::{Context, Failure, Output, show};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyVerb {
    /// Add a key: from then on narinfos are signed with it too
    Add(AddArgs),
    /// Remove a key: from then on narinfos are not signed with it
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
    /// Of which cache
    cache: CacheName,
    /// The name of the key; Nix trusts only one key of a name [default: the cache's name and the next free number]
    #[arg(long, value_name = "NAME", conflicts_with = "import")]
    key_name: Option<KeyName>,
    /// Take the key in this file, as `nix key generate-secret` writes it, and make none
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveArgs {
    /// Of which cache
    cache: CacheName,
    /// The name of the key
    key_name: KeyName,
}

pub(super) async fn run(
    verb: KeyVerb,
    journal: &Journal,
    database: &dyn Database,
    context: &Context<'_>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let name = match &verb {
        KeyVerb::Add(args) => &args.cache,
        KeyVerb::Remove(args) => &args.cache,
    };
    let absent =
        || Failure::failed(format!("there is no cache {name}")).hint("`cache list` shows those that there are");
    let cache = database.find_cache(name).await?.ok_or_else(absent)?;
    let (keys, deed) = match &verb {
        KeyVerb::Add(args) => {
            let keys = with_added(&cache, args)?;
            let added = keys.first().map(|key| key.name().to_string()).unwrap_or_default();
            (keys, Deed::done(Act::KeyAdd).object(added))
        }
        KeyVerb::Remove(args) => {
            let removed = Deed::done(Act::KeyRemove).object(args.key_name.to_string());
            (with_removed(&cache, &args.key_name)?, removed)
        }
    };
    let change = CacheChange { keys: Some(keys), ..CacheChange::default() };
    let changed = journal.change_cache(database, name, &change).await?.ok_or_else(absent)?;
    context.note(database, deed.on(name)).await;
    show::public_keys(&changed, output)
}

/// The keys with one more, which is the newest.
fn with_added(cache: &Cache, args: &AddArgs) -> Result<Vec<SecretKey>, Failure> {
    let key = match &args.import {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::failed(format!("{} cannot be read: {error}", file.display())))?;
            text.parse::<SecretKey>().map_err(|error| {
                Failure::failed(format!("{} holds no key: {error}", file.display()))
                    .hint("a key is NAME:BASE64 of 64 bytes, as `nix key generate-secret` prints it")
            })?
        }
        None => SecretKey::generate(args.key_name.clone().map_or_else(|| next_name(cache), Ok)?, rand::random()),
    };
    if cache.keys.iter().any(|old| old.name() == key.name()) {
        let message = format!("the cache {} has a key {} already", cache.name, key.name());
        return Err(Failure::failed(message).hint("Nix trusts only one key of a name: choose another with --key-name"));
    }
    Ok(std::iter::once(key).chain(cache.keys.iter().cloned()).collect())
}

/// The keys without that one.
fn with_removed(cache: &Cache, name: &KeyName) -> Result<Vec<SecretKey>, Failure> {
    let left: Vec<SecretKey> = cache.keys.iter().filter(|key| key.name() != name).cloned().collect();
    if left.len() == cache.keys.len() {
        let message = format!("the cache {} has no key {name}", cache.name);
        return Err(Failure::failed(message).hint(format!("`cache info {}` shows those that it has", cache.name)));
    }
    if left.is_empty() {
        let message = format!("{name} is the only key of the cache {}", cache.name);
        return Err(
            Failure::failed(message).hint("add another first: narinfos without a signature are good for nobody")
        );
    }
    Ok(left)
}

/// `main-2`, `main-3`, …
fn next_name(cache: &Cache) -> Result<KeyName, Failure> {
    let free = |name: &KeyName| cache.keys.iter().all(|key| key.name() != name);
    (2..)
        .filter_map(|n| format!("{}-{n}", cache.name).parse().ok())
        .find(free)
        .ok_or_else(|| Failure::usage("give the key a name with --key-name"))
}
