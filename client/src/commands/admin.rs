//! `token`, `audit` and `cache limits`

use std::time::Duration;

use client::api::{ActQuery, Api, ApiError, TokenQuery};
use protocol::{
    Clock, GrantTable, Permission, SystemClock, Timestamp,
    admin::{ActInfo, MintRequest, TokenInfo},
    keep::LimitsInfo,
};
use serde::Serialize;

use crate::{
    cli::{Audit, Limits, OnServer, Token},
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
    target::{Server, Target},
};

fn api(on: &OnServer, environment: &Environment) -> Result<Api, Failure> {
    Server::find(on.server.as_deref(), environment)?.api()
}

fn failed(error: &ApiError) -> Failure {
    failure::api(error)
}

pub(super) async fn token(token: Token, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    match token {
        Token::List { on, expiring, subject, all, json } => {
            let api = api(&on, environment)?;
            let query = TokenQuery { subject, expiring: expiring.map(|within| within.as_secs()), all };
            let now = SystemClock.now();
            let mut after = None;
            loop {
                let page = api.list_tokens(&query, after.as_deref()).await.map_err(|error| failed(&error))?;
                for token in &page.tokens {
                    printer.data(if json { as_json(token)? } else { token_line(token, now) });
                }
                after = page.next;
                if after.is_none() {
                    return Ok(());
                }
            }
        }
        Token::Show { on, id } => {
            let token = api(&on, environment)?.find_token(&id).await.map_err(|error| failed(&error))?;
            printer.data(as_json(&token)?);
        }
        Token::Make { on, sub, validity, grants } => {
            let wanted = MintRequest { subject: sub, validity: validity.as_secs(), grants: GrantTable(grants) };
            let made = api(&on, environment)?.mint_token(&wanted).await.map_err(|error| failed(&error))?;
            printer.note(format_args!("made {}, which ends {}", made.id, date(made.expires_at)));
            printer.data(made.token);
        }
        Token::Revoke { on, id, subject } => {
            let api = api(&on, environment)?;
            if let Some(id) = id {
                let revoked = api.revoke_token(&id).await.map_err(|error| failed(&error))?;
                let how = if revoked.tokens > 0 { "revoked" } else { "was revoked before:" };
                printer.note(format_args!("{how} {id}"));
            } else if let Some(subject) = subject {
                let revoked = api.revoke_subject(&subject).await.map_err(|error| failed(&error))?;
                printer.note(format_args!(
                    "revoked {} tokens of {subject} that the server made, and whatever was made elsewhere",
                    revoked.tokens
                ));
            }
        }
    }
    Ok(())
}

pub(super) async fn audit(audit: Audit, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let api = api(&audit.on, environment)?;
    let since = audit.since.map(|ago| SystemClock.now().minus(ago));
    let mut left = audit.limit.unwrap_or(usize::MAX);
    let limit = audit.limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
    let query = ActQuery { since, cache: audit.cache, limit };
    let mut after = None;
    while left > 0 {
        let page = api.list_acts(&query, after.as_deref()).await.map_err(|error| failed(&error))?;
        for act in page.acts.iter().take(left) {
            printer.data(if audit.json { as_json(act)? } else { act_line(act) });
        }
        left = left.saturating_sub(page.acts.len());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

pub(super) async fn limits(limits: Limits, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let target = Target::find(limits.cache.as_deref(), environment)?;
    let api = target.api(|_| {})?;
    let failed = |error| failure::api_about(&target, &error);
    let read_only = if limits.read_only { Some(true) } else { limits.writable.then_some(false) };
    let change = LimitsInfo { max_size: limits.max_size, quota: limits.quota, read_only, used: None };
    if change != LimitsInfo::default() {
        api.set_limits(&target.cache, &change).await.map_err(failed)?;
    }
    let now = api.limits(&target.cache).await.map_err(failed)?;
    if limits.json {
        printer.data(as_json(&now)?);
        return Ok(());
    }
    let bytes = |size: Option<u64>| size.map_or_else(|| "none".to_owned(), |size| format!("{size} B"));
    printer.data(format_args!("Used: {}", bytes(now.used)));
    printer.data(format_args!("Max Size: {}", bytes(now.max_size)));
    printer.data(format_args!("Quota: {}", bytes(now.quota)));
    printer.data(format_args!("Read Only: {}", now.read_only.unwrap_or(false)));
    Ok(())
}

fn as_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::of(ExitStatus::Failed, &error))
}

fn date(at: Timestamp) -> String {
    let since = Duration::from_secs(u64::try_from(at.0).unwrap_or(0)).min(Duration::from_secs(253_402_300_799));
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

/// Id, subject, when it ends, when it was last used, and what it may do.
fn token_line(token: &TokenInfo, now: Timestamp) -> String {
    let state = match token.revoked_at {
        Some(at) => format!("revoked {}", date(at)),
        None if token.expires_at < now => format!("ended {}", date(token.expires_at)),
        None => format!("ends {}", date(token.expires_at)),
    };
    let used = token.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {}", date(at)));
    let grants = token.grants.0.iter().map(|(pattern, permissions)| {
        let names: Vec<&str> = permissions.iter().map(Permission::name).collect();
        format!("{pattern}={}", names.join(","))
    });
    let (id, grants) = (&token.id, grants.collect::<Vec<_>>().join(" "));
    format!("{id}\t{}\t{state}\t{used}\t{grants}", token.subject.escape_debug())
}

/// When, how it ended, what, on what, who, from where.
fn act_line(act: &ActInfo) -> String {
    let on: Vec<&str> = [&act.cache, &act.object].into_iter().flatten().map(String::as_str).collect();
    let detail = act.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let from = act.address.as_deref().unwrap_or("command line");
    let (on, subject) = (on.join(" "), act.subject.escape_debug());
    format!("{}\t{}\t{}\t{}\t{subject}\t{from}{}", date(act.at), act.outcome, act.act, on, detail.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_line() {
        let grants = serde_json::from_str(r#"{"main":["push","pull"]}"#).unwrap();
        let token = TokenInfo {
            id: "4711".to_owned(),
            subject: "ci\tx".to_owned(),
            grants,
            created_at: Timestamp(0),
            expires_at: Timestamp(86_400),
            minted_by: "admin".to_owned(),
            parent: None,
            last_used_at: None,
            revoked_at: None,
        };
        let ended = "4711\tci\\tx\tended 1970-01-02T00:00:00Z\tnever used\tmain=pull,push";
        assert_eq!(token_line(&token, Timestamp(100_000)), ended);
        assert_eq!(token_line(&token, Timestamp(0)), ended.replace("ended", "ends"));
        let used = TokenInfo { last_used_at: Some(Timestamp(60)), revoked_at: Some(Timestamp(61)), ..token };
        let line = token_line(&used, Timestamp(0));
        assert!(line.contains("revoked 1970-01-01T00:01:01Z\tused 1970-01-01T00:01:00Z"), "{line}");
    }
}
