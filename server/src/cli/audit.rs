//! `audit list`: what was done.

use clap::{Args, Subcommand};
use database::{ActFilter, ActRow};
use protocol::{CacheName, admin::ActInfo};

use super::{Context, Failure, Output, block_on, date};
use crate::{audit, config::HumanDuration, run::open_database};

/// How many rows are asked for at once.
const PAGE: u32 = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum AuditVerb {
    /// List administrative acts, newest first
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those since so long ago, such as "30d"
    #[arg(long, value_name = "DURATION")]
    since: Option<HumanDuration>,
    /// Only those on this cache
    #[arg(long, value_name = "CACHE")]
    cache: Option<CacheName>,
    /// So many at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print a JSON object for each, on a line of its own
    #[arg(long)]
    json: bool,
}

pub(super) fn run(verb: AuditVerb, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let AuditVerb::List(args) = verb;
    let config = context.config(output)?;
    config.validate()?;
    let since = args.since.map(|ago| context.clock.now().minus(ago.0));
    let filter = ActFilter { since, cache: args.cache };
    let mut left = args.limit.unwrap_or(usize::MAX);
    block_on(async {
        let database = open_database(&config).await?;
        let mut after = None;
        loop {
            let page = database.list_acts(&filter, after, PAGE).await?;
            after = page.last().map(ActRow::mark);
            let is_last = page.len() < PAGE as usize;
            for row in page {
                if left == 0 {
                    return Ok(());
                }
                left -= 1;
                show(&audit::info(row), args.json, output)?;
            }
            if is_last {
                return Ok(());
            }
        }
    })?
}

/// When, how it ended, what, on what, who, from where.
fn show(act: &ActInfo, as_json: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    if as_json {
        let json = serde_json::to_string(act).map_err(|error| Failure::failed(error.to_string()))?;
        writeln!(output.data, "{json}")?;
        return Ok(());
    }
    let on: Vec<&str> = [&act.cache, &act.object].into_iter().flatten().map(String::as_str).collect();
    let detail = act.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let from = act.address.as_deref().unwrap_or("command line");
    // Whoever has a token chose its subject: it must not look like another line.
    let subject = act.subject.escape_debug();
    let (at, outcome, kind) = (date(act.at), &act.outcome, &act.act);
    writeln!(output.data, "{at}\t{outcome}\t{kind}\t{}\t{subject}\t{from}{}", on.join(" "), detail.escape_debug())?;
    Ok(())
}
