//! `verify`: downloads again what is served, and says whether it is what it is said to be.

use std::collections::BTreeSet;

use client::verify::{Checked, Problem, verify};
use formats::{PublicKey, StoreDir};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::promotion::{ClaimAnswer, ClaimState, Origin, TagName};
use serde::Serialize;

use super::promote::show;
use crate::{
    cli::Verification,
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer, paths, size},
    target::Target,
};

/// How many paths are fetched at a time.
const AT_A_TIME: usize = 4;

/// What was found.
#[derive(Debug, Serialize)]
struct Verified {
    /// What was asked for.
    what: String,
    /// Whether every byte and signature is as it should be.
    is_intact: bool,
    /// Whether it is clean, of a path, or promoted, of a tag.
    holds: bool,
    /// The keys that were trusted.
    keys: Vec<PublicKey>,
    paths: Vec<Checked>,
    /// Paths that are in upstreams, which were not asked.
    elsewhere: usize,
    /// What the server has found of it.
    claims: Vec<ClaimAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_version: Option<String>,
}

pub(super) async fn run(
    given: Verification,
    environment: &Environment,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    let as_json = given.json;
    // No store path has an `@`.
    let verified = match given.what.rsplit_once('@') {
        Some((cache, tag)) => {
            let name: TagName = tag.parse().map_err(|error| Failure::usage(format!("{tag:?} is no tag: {error}")))?;
            view(&Target::find(Some(cache), environment)?, &name, given.keys, printer).await?
        }
        None => {
            let target = Target::find(given.within.cache.as_deref(), environment)?;
            let path = super::promote::claim::path_of(&given.what, environment);
            self::path(&target, &path, given.keys, printer).await?
        }
    };
    if as_json {
        show::json(printer, &verified)?;
    } else {
        tell(printer, &verified)?;
    }
    match (verified.is_intact, verified.holds) {
        (true, true) => Ok(ExitStatus::Ok),
        (true, false) => Ok(ExitStatus::Partly),
        (false, _) => Err(Failure::new(ExitStatus::Failed, format!("{} is not what it should be", verified.what))),
    }
}

/// The closure that a tag points at, as its view serves it.
async fn view(target: &Target, tag: &TagName, keys: Vec<PublicKey>, printer: Printer) -> Result<Verified, Failure> {
    let api = target.api(|_| {})?;
    let failed = |error| failure::api_about(target, &error);
    let cache = &target.cache;
    let place = format!("{cache}@{tag}");
    let about = api.tag(cache, tag).await.map_err(failed)?;
    let Some(revision) = about.current else {
        return Err(Failure::new(ExitStatus::Partly, format!("{place} points at nothing")));
    };
    let manifest = api.tag_manifest(cache, tag).await.map_err(failed)?;
    let keys = match keys.is_empty() {
        false => keys,
        true => {
            printer.note(
                "the server's word is taken for its promotion keys; name them with --key to trust none but yours",
            );
            api.promotion_keys(cache, false).await.map_err(failed)?.keys
        }
    };
    let members: BTreeSet<_> = manifest.paths.iter().map(|path| &path.path).collect();
    let here = manifest.paths.iter().filter(|path| path.origin == Origin::Cache);
    let checks = here.map(|member| {
        let (api, keys, place, members) = (&api, &keys, &place, &members);
        let store_dir = &manifest.store_dir;
        async move {
            let mut checked = verify(api, place, store_dir, &member.path, keys, Some(member.nar_hash)).await?;
            let open = member.references.iter().filter(|reference| !members.contains(reference));
            checked.problems.extend(open.map(|reference| Problem::Open { reference: reference.clone() }));
            Ok(checked)
        }
    });
    let checked: Vec<Checked> =
        stream::iter(checks.collect::<Vec<_>>()).buffered(AT_A_TIME).try_collect().await.map_err(failed)?;
    let elsewhere = manifest.paths.len() - checked.len();
    let is_whole = revision.roots.iter().all(|root| members.contains(root));
    let mut claims = Vec::new();
    for id in &revision.claims {
        // The books are not open to everybody who may substitute.
        claims.extend(api.claim(cache, *id).await.ok());
    }
    Ok(Verified {
        what: place,
        is_intact: is_whole && checked.iter().all(|one| one.problems.is_empty()),
        holds: true,
        keys,
        paths: checked,
        elsewhere,
        claims,
        revision: Some(revision.number),
        policy_version: Some(revision.policy_version),
    })
}

/// One path, as the cache serves it, and what is known of it.
async fn path(target: &Target, path: &str, keys: Vec<PublicKey>, printer: Printer) -> Result<Verified, Failure> {
    let api = target.api(|_| {})?;
    let failed = |error| failure::api_about(target, &error);
    let cache = &target.cache;
    let about = api.explain(cache, path).await.map_err(failed)?;
    let config = api.cache_config(cache).await.map_err(failed)?;
    let store_dir: StoreDir = match &config.store_dir {
        Some(text) => text.parse().map_err(|error| Failure::of(ExitStatus::Failed, &error))?,
        None => StoreDir::default(),
    };
    let keys = match keys.is_empty() {
        false => keys,
        true => {
            printer.note("the server's word is taken for its keys; name them with --key to trust none but yours");
            key(config.public_key.as_deref())?
        }
    };
    let checked = verify(&api, cache.as_str(), &store_dir, &about.path, &keys, None).await.map_err(failed)?;
    let stands = |claim: &&ClaimAnswer| claim.state == ClaimState::Clean;
    Ok(Verified {
        what: about.path.to_string(),
        is_intact: checked.problems.is_empty(),
        holds: about.claims.iter().any(|claim| stands(&claim)),
        keys,
        paths: vec![checked],
        elsewhere: 0,
        claims: about.claims,
        revision: None,
        policy_version: None,
    })
}

fn key(text: Option<&str>) -> Result<Vec<PublicKey>, Failure> {
    let read = text.map(str::parse).transpose();
    Ok(read.map_err(|error: formats::KeyError| Failure::of(ExitStatus::Failed, &error))?.into_iter().collect())
}

fn tell(printer: Printer, verified: &Verified) -> Result<(), Failure> {
    for one in verified.paths.iter().filter(|one| !one.problems.is_empty()) {
        one.problems.iter().for_each(|problem| printer.data(format_args!("{}: {problem}", one.path)));
    }
    let good = verified.paths.iter().filter(|one| one.problems.is_empty());
    let bytes = good.clone().map(|one| one.nar_size).sum();
    let keys: Vec<String> = verified.keys.iter().map(|key| key.name().to_string()).collect();
    printer.data(format_args!(
        "{}: {} of {} fetched again, {}, signed by {}: {}",
        verified.what,
        good.count(),
        paths(verified.paths.len()),
        size(bytes),
        keys.join(" or "),
        if verified.is_intact { "as it should be" } else { "NOT as it should be" }
    ));
    if verified.elsewhere > 0 {
        printer.data(format_args!("{} in upstreams, which were not asked", paths(verified.elsewhere)));
    }
    if let (Some(revision), Some(policy)) = (verified.revision, &verified.policy_version) {
        printer.data(format_args!("promoted: revision {revision}, under policy {policy}"));
    }
    if verified.claims.is_empty() && verified.revision.is_none() {
        printer.data("not clean: nobody claims to have built it");
    }
    verified.claims.iter().try_for_each(|claim| show::claim(printer, claim, false))
}
