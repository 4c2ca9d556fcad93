//! `index`: looking after the index itself.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{Context, Failure, Output, block_on, progress::Ticker};
use crate::{
    config::DatabaseUrl,
    copy_index::{self, CopyError, Report},
    index::open_url,
};

#[derive(Debug, Subcommand)]
pub(super) enum IndexVerb {
    /// Copy the whole index into another, empty database
    Copy(CopyArgs),
}

#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// The database to copy from [default: the configured one]
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The database to copy to [default: the configured one]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Print what was copied as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(verb: IndexVerb, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let IndexVerb::Copy(args) = verb;
    if args.from.is_none() && args.to.is_none() {
        return Err(
            Failure::usage("say --from URL, or --to URL, or both").hint("the other one is the configured database")
        );
    }
    let config = context.config(output)?;
    config.validate()?;
    let place = |option: &str, given: &Option<String>| match given {
        Some(url) => url.parse::<DatabaseUrl>().map_err(|error| Failure::usage(format!("{option}: {error}"))),
        None => Ok(config.database.url.clone()),
    };
    let (from, to) = (place("--from", &args.from)?, place("--to", &args.to)?);
    if from == to {
        return Err(Failure::usage(format!("{from} is both what is copied and where it goes")));
    }
    if let DatabaseUrl::Sqlite(path) = &from
        && !path.exists()
    {
        return Err(Failure::failed(format!("there is no index at {}", path.display())));
    }
    let mut ticker = Ticker::new(&mut *output.notes);
    let report = block_on(async {
        let heartbeat = config.database.heartbeat;
        let source = open_url(&from, heartbeat, &config.flywheel.postgresql).await?;
        let target = open_url(&to, heartbeat, &config.flywheel.postgresql).await?;
        let mut tell = |progress: copy_index::Progress<'_>| {
            ticker.tick(format_args!("{} {}: {} rows", progress.stage.as_str(), progress.table, progress.rows));
        };
        let copied = copy_index::copy(&*source, &*target, &mut tell).await;
        source.close().await;
        target.close().await;
        copied.map_err(Failure::from)
    })??;
    if args.json {
        output.json(&report)?;
    } else {
        print(&report, output.data)?;
    }
    writeln!(
        output.notes,
        "{} rows were copied from {from} to {to} and verified, in {:.1} s.",
        report.rows, report.seconds
    )?;
    Ok(())
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    for table in report.tables.iter().filter(|table| table.rows > 0) {
        writeln!(out, "{}: {}", table.table, table.rows)?;
    }
    Ok(())
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        let failure = Self::of(&error);
        match error {
            CopyError::SourceEmpty => failure.hint("is --from, or the configured database, the right one?"),
            CopyError::TargetNotEmpty { .. } => {
                failure.hint("name a fresh database; a server that was started on this one has made a cache in it")
            }
            CopyError::Schema { .. } => failure.hint("give the index a database of its own, which nothing else uses"),
            CopyError::Read { .. } | CopyError::Write { .. } | CopyError::Differs { .. } | CopyError::Database(_) => {
                failure.hint("nothing was changed: stop every server of both databases, and try again")
            }
        }
    }
}
