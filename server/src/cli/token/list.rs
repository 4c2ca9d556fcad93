//! `token list` and `token show`

use clap::Args;
use database::{TokenFilter, TokenRow};
use protocol::{Permission, Scope, Timestamp, admin::TokenInfo};

use super::super::{Context, Failure, Output, block_on, date};
use crate::{auth::token_info, config::HumanDuration, run::open_database};

/// How many rows are asked for at once.
const PAGE: u32 = 1000;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those that end within this time, such as "14d"
    #[arg(long, value_name = "DURATION")]
    expiring: Option<HumanDuration>,
    /// Only those of this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Those that have ended or were revoked, too
    #[arg(long)]
    all: bool,
    /// Print a JSON object for each, on a line of its own
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Which token
    #[arg(value_name = "JTI")]
    id: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: ListArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let now = context.clock.now();
    let filter = TokenFilter {
        subject: args.subject,
        expires_from: (!args.all).then_some(now),
        expires_before: args.expiring.map(|within| now.plus(within.0)),
        with_revoked: args.all,
    };
    block_on(async {
        let database = open_database(&config).await?;
        let mut after = None;
        loop {
            let page = database.list_tokens(&filter, after.as_ref(), PAGE).await?;
            after = page.last().map(TokenRow::mark);
            let is_last = page.len() < PAGE as usize;
            for row in page {
                let token = token_info(row);
                match args.json {
                    true => json(&token, output)?,
                    false => line(&token, now, output)?,
                }
            }
            if is_last {
                return Ok(());
            }
        }
    })?
}

pub(super) fn show(args: &ShowArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let row = block_on(async { Ok::<_, Failure>(open_database(&config).await?.find_token(&args.id).await?) })??;
    let token = token_info(row.ok_or_else(|| absent(&args.id))?);
    if args.json {
        return json(&token, output);
    }
    let time = |at: Option<Timestamp>, never: &str| at.map_or_else(|| never.to_owned(), date);
    writeln!(output.data, "Id: {}", token.id)?;
    writeln!(output.data, "Subject: {}", token.subject)?;
    writeln!(output.data, "Made: {} by {}", date(token.created_at), token.minted_by)?;
    if let Some(parent) = &token.parent {
        writeln!(output.data, "Made With: {parent}")?;
    }
    writeln!(output.data, "Ends: {}", date(token.expires_at))?;
    writeln!(output.data, "Last Used: {}", time(token.last_used_at, "never"))?;
    writeln!(output.data, "Revoked: {}", time(token.revoked_at, "no"))?;
    for (pattern, permissions) in &token.grants.0 {
        let names: Vec<&str> = permissions.iter().map(Permission::name).collect();
        writeln!(output.data, "Cache {pattern}: {}", names.join(", "))?;
    }
    Ok(())
}

pub(super) fn absent(id: &str) -> Failure {
    Failure::failed(format!("the registry has no token {id}")).hint("`token list --all` shows those that it has")
}

/// Id, subject, when it ends, when it was last used, and what it may do.
fn line(token: &TokenInfo, now: Timestamp, output: &mut Output<'_>) -> Result<(), Failure> {
    let state = match token.revoked_at {
        Some(at) => format!("revoked {}", date(at)),
        None if token.expires_at < now => format!("ended {}", date(token.expires_at)),
        None => format!("ends {}", date(token.expires_at)),
    };
    let used = token.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {}", date(at)));
    let grants = grants(&token.grants.scope());
    writeln!(output.data, "{}\t{}\t{state}\t{used}\t{grants}", token.id, token.subject)?;
    Ok(())
}

/// `main:r,w team-*:r`
fn grants(scope: &Scope) -> String {
    let all = protocol::GrantTable::from(scope).0;
    let one = |(pattern, permissions): (protocol::CachePattern, protocol::Permissions)| {
        let names: Vec<&str> = permissions.iter().map(Permission::short_name).collect();
        format!("{pattern}:{}", names.join(","))
    };
    all.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

fn json(token: &TokenInfo, output: &mut Output<'_>) -> Result<(), Failure> {
    let json = serde_json::to_string(token).map_err(|error| Failure::failed(error.to_string()))?;
    writeln!(output.data, "{json}")?;
    Ok(())
}
