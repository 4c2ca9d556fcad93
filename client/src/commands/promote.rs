//! `promote …`, `explain` and `candidates`

mod attest;
mod check;
pub(super) mod claim;
mod policy;
pub(super) mod show;

use client::api::Api;
use protocol::{
    ErrorCode, Timestamp,
    promotion::{ExportRequest, MoveTag, Reason, Resolution, Rollback, TagKind, TagName},
};
use serde_json::Value;

use crate::{
    cli::{Candidates, Explain, Promote},
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
    target::Target,
};

pub(super) async fn run(verb: Promote, environment: &Environment, printer: Printer) -> Result<ExitStatus, Failure> {
    match verb {
        Promote::Check(given) => check::run(given, environment, printer).await,
        Promote::Claim(given) => claim::run(given, environment, printer).await,
        Promote::Attest(given) => attest::run(given, environment, printer).await.map(|()| ExitStatus::Ok),
        Promote::Policy(given) => policy::run(&given, environment, printer).await.map(|()| ExitStatus::Ok),
        other => simple(other, environment, printer).await.map(|()| ExitStatus::Ok),
    }
}

async fn simple(verb: Promote, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let cache = match &verb {
        Promote::Check(given) => &given.within,
        Promote::Claim(given) => &given.within,
        Promote::Attest(given) => &given.within,
        Promote::Policy(given) => &given.within,
        Promote::Status(given) => &given.within,
        Promote::Verify(given) => &given.within,
        Promote::Withdraw(given) | Promote::Revoke(given) => &given.within,
        Promote::Tag(given) => &given.within,
        Promote::Tags(given) => &given.within,
        Promote::History(given) => &given.within,
        Promote::Rollback(given) => &given.within,
        Promote::Untag(given) => &given.within,
        Promote::Show(given) => &given.within,
        Promote::Export(given) => &given.within,
        Promote::Keys(given) => &given.within,
        Promote::Resolve(given) => &given.within,
    };
    let target = Target::find(cache.cache.as_deref(), environment)?;
    let api = target.api(|_| {})?;
    let failed = |error| failure::api_about(&target, &error);
    let cache = &target.cache;
    match verb {
        Promote::Check(_) | Promote::Claim(_) | Promote::Attest(_) | Promote::Policy(_) => {}
        Promote::Status(given) => match given.claim {
            Some(id) => show::claim(printer, &api.claim(cache, id).await.map_err(failed)?, given.json)?,
            None => show::claims(printer, &api.claims(cache).await.map_err(failed)?, given.json)?,
        },
        Promote::Verify(given) => {
            api.verify_claim(cache, given.claim).await.map_err(failed)?;
            printer.note(format_args!("claim {} will be verified again", given.claim));
            after_claim(&api, &target, given.claim, given.json, printer).await?;
        }
        Promote::Withdraw(given) => {
            let reason = Reason { reason: given.reason };
            api.retract_claim(cache, given.claim, "withdraw", &reason).await.map_err(failed)?;
            printer.note(format_args!("withdrew claim {}", given.claim));
            after_claim(&api, &target, given.claim, given.json, printer).await?;
        }
        Promote::Revoke(given) => {
            let reason = Reason { reason: given.reason };
            api.retract_claim(cache, given.claim, "revoke", &reason).await.map_err(failed)?;
            printer.note(format_args!("revoked claim {}; its closure is in no view any more", given.claim));
            after_claim(&api, &target, given.claim, given.json, printer).await?;
        }
        Promote::Tag(given) => {
            let expected = match given.expect {
                Some(expected) => expected,
                None => last(&api, &target, &given.tag).await?,
            };
            let kind = if given.release { TagKind::Release } else { TagKind::Channel };
            let wanted = MoveTag { claims: given.claims, kind, visibility: given.visibility, expected };
            let number = api.move_tag(cache, &given.tag, &wanted).await.map_err(failed)?;
            printer.note(format_args!("{cache}@{} is at revision {number}", given.tag));
            after_tag(&api, &target, &given.tag, given.json, printer).await?;
        }
        Promote::Tags(given) => show::tags(printer, &api.tags(cache).await.map_err(failed)?, given.json)?,
        Promote::History(given) => {
            show::history(printer, &api.tag_history(cache, &given.tag).await.map_err(failed)?, given.json)?;
        }
        Promote::Rollback(given) => {
            let expected = last(&api, &target, &given.tag).await?;
            let wanted = Rollback { to: given.to, expected, reason: given.reason };
            let number = api.roll_back(cache, &given.tag, &wanted).await.map_err(failed)?;
            printer.note(format_args!("{cache}@{} is at revision {number}, which is {} again", given.tag, given.to));
            after_tag(&api, &target, &given.tag, given.json, printer).await?;
        }
        Promote::Untag(given) => {
            api.revoke_tag(cache, &given.tag, &Reason { reason: given.reason }).await.map_err(failed)?;
            printer.note(format_args!("{cache}@{} points at nothing", given.tag));
            after_tag(&api, &target, &given.tag, given.json, printer).await?;
        }
        Promote::Show(given) => {
            api.show_tag(cache, &given.tag, given.visibility).await.map_err(failed)?;
            printer.note(format_args!("{cache}@{} is {}", given.tag, given.visibility));
            after_tag(&api, &target, &given.tag, given.json, printer).await?;
        }
        Promote::Export(given) => {
            let wanted = ExportRequest { surface: given.surface, url: given.url };
            let bundle =
                api.export_tag(cache, &given.tag, &wanted).await.map_err(|error| not_public(&target, &error))?;
            write(&given.out, &bundle)?;
            printer.note(format_args!("wrote {cache}@{} to {}", given.tag, given.out.display()));
            if given.json {
                show::json(printer, &bundle["receipt"])?;
            }
        }
        Promote::Keys(given) => {
            let keys = api.promotion_keys(cache, given.rotate).await.map_err(failed)?;
            match given.json {
                true => show::json(printer, &keys)?,
                false => keys.keys.iter().for_each(|key| printer.data(key)),
            }
        }
        Promote::Resolve(given) => {
            let resolution = Resolution {
                nar_hash: given.nar_hash,
                reason: given.reason,
                resolved_by: String::new(),
                at: Timestamp::default(),
            };
            api.resolve_divergence(cache, &given.path, &resolution).await.map_err(failed)?;
            printer.note(format_args!("settled: {} counts", given.nar_hash));
            if given.json {
                show::json(printer, &api.explain(cache, &given.path.to_string()).await.map_err(failed)?)?;
            }
        }
    }
    Ok(())
}

/// Scripts tell what is not promoted and public from what went wrong.
fn not_public(target: &Target, error: &client::api::ApiError) -> Failure {
    let failure = failure::api_about(target, error);
    match error {
        client::api::ApiError::Refused(refusal)
            if matches!(refusal.code(), Some(ErrorCode::NotPublic | ErrorCode::NotPromoted)) =>
        {
            Failure { status: ExitStatus::Partly, ..failure }
        }
        _ => failure,
    }
}

/// Prints a claim as it is after it was changed, for programs.
async fn after_claim(api: &Api, target: &Target, claim: i64, json: bool, printer: Printer) -> Result<(), Failure> {
    match json {
        true => {
            let claim = api.claim(&target.cache, claim).await.map_err(|error| failure::api_about(target, &error))?;
            show::claim(printer, &claim, true)
        }
        false => Ok(()),
    }
}

/// Prints a tag as it is after it was changed, for programs.
async fn after_tag(api: &Api, target: &Target, tag: &TagName, json: bool, printer: Printer) -> Result<(), Failure> {
    match json {
        true => {
            let tag = api.tag(&target.cache, tag).await.map_err(|error| failure::api_about(target, &error))?;
            show::json(printer, &tag)
        }
        false => Ok(()),
    }
}

/// The number of the revision that a tag got last; 0 if there is no such tag.
async fn last(api: &Api, target: &Target, tag: &TagName) -> Result<i64, Failure> {
    match api.tag_history(&target.cache, tag).await {
        Ok(history) => Ok(history.first().map_or(0, |revision| revision.number)),
        Err(client::api::ApiError::Refused(refusal)) if refusal.code() == Some(ErrorCode::NoSuchTag) => Ok(0),
        Err(error) => Err(failure::api_about(target, &error)),
    }
}

/// Writes each part of what leaves into a file of its own.
fn write(folder: &std::path::Path, bundle: &Value) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::of(ExitStatus::Failed, &error).about(folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (part, name) in [
        ("manifest", "manifest.json"),
        ("provenance", "provenance.intoto.jsonl"),
        ("sbom", "sbom.spdx.json"),
        ("receipt", "receipt.json"),
    ] {
        let text = match &bundle[part] {
            // An envelope on each line, which is how several are kept together.
            Value::Array(lines) => lines.iter().map(|line| format!("{line}\n")).collect(),
            // The manifest as it is: its digest is that of these very bytes.
            other if part == "manifest" => other.to_string(),
            other => format!("{other:#}\n"),
        };
        std::fs::write(folder.join(name), text).map_err(failed)?;
    }
    Ok(())
}

pub(super) async fn explain(given: &Explain, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let target = Target::find(given.within.cache.as_deref(), environment)?;
    let api = target.api(|_| {})?;
    let failed = |error| failure::api_about(&target, &error);
    // A tag has no dash where a store path has one, and no slash.
    let tags = match given.what.parse::<TagName>() {
        Ok(name) => {
            let tags = api.tags(&target.cache).await.map_err(failed)?;
            tags.into_iter().filter(|tag| tag.name == name).collect()
        }
        Err(_) => Vec::new(),
    };
    if let [tag] = &tags[..] {
        let mut claims = Vec::new();
        for id in tag.current.iter().flat_map(|revision| &revision.claims) {
            claims.push(api.claim(&target.cache, *id).await.map_err(failed)?);
        }
        return show::tag(printer, &target.cache, tag, &claims, given.json);
    }
    let path = claim::path_of(&given.what, environment);
    let about = api.explain(&target.cache, &path).await.map_err(failed)?;
    show::explanation(printer, &about, given.json)
}

pub(super) async fn candidates(given: &Candidates, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let target = Target::find(given.within.cache.as_deref(), environment)?;
    let found = target.api(|_| {})?.candidates(&target.cache).await;
    show::candidates(printer, &found.map_err(|error| failure::api_about(&target, &error))?, given.json)
}
