//! `import-attic`: caches of a deployment of Attic.

mod places;

use std::path::PathBuf;

use clap::Args;
use protocol::{CacheName, SystemClock};

use self::places::{Places, StoragePlace};
use super::{
    Context, Failure, Output,
    import::{Common, Inside, block_on_all, print},
    progress::Ticker,
};
use crate::{
    config::DatabaseUrl,
    import::attic::{Target, import_attic},
};

#[derive(Debug, Args)]
pub(super) struct ImportAtticArgs {
    /// Attic's server.toml, which says where its database and its storage are
    #[arg(value_name = "SERVER_TOML", required_unless_present_all = ["database", "storage"])]
    from: Option<PathBuf>,
    /// Attic's database, if not the one in its server.toml: sqlite:///path or postgresql://…
    #[arg(long, value_name = "URL")]
    database: Option<DatabaseUrl>,
    /// Attic's storage, if not the one in its server.toml: a folder, or s3://bucket?region=…&endpoint=…&path-style=…
    #[arg(long, value_name = "DIR|URL")]
    storage: Option<StoragePlace>,
    /// A file with the id of the key for Attic's bucket, if it is not in its server.toml or in the environment …
    #[arg(long, value_name = "FILE", requires = "secret_access_key_file")]
    access_key_id_file: Option<PathBuf>,
    /// … and one with its secret
    #[arg(long, value_name = "FILE", requires = "access_key_id_file")]
    secret_access_key_file: Option<PathBuf>,
    /// Import only this cache; may be given more than once
    #[arg(long = "cache", value_name = "NAME")]
    caches: Vec<CacheName>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &ImportAtticArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let places = Places::of(args)?;
    let mut ticker = Ticker::new(&mut *output.notes);
    let reports = block_on_all(async {
        let attic = places.open().await?;
        let inside = Inside::open(&config).await?;
        let target = Target {
            ingest: &inside.ingest,
            database: &inside.database,
            journal: &inside.journal,
            clock: &SystemClock,
        };
        let mut tell = |cache: &str, state| ticker.tick(format_args!("{cache}: {state}"));
        let reports = import_attic(&attic, &target, &args.caches, &args.common.options(), &mut tell).await;
        inside.close().await;
        Ok::<_, Failure>(reports?)
    })??;
    if args.common.json {
        output.json(&reports)?;
    } else {
        for report in &reports {
            let made = if report.created { " (new here)" } else { "" };
            writeln!(output.data, "cache {}{made}", report.cache)?;
            match &report.refused {
                Some(why) => writeln!(output.data, "refused: {why}")?,
                None => print(&report.paths, output.data)?,
            }
        }
    }
    let failed: usize = reports.iter().map(|report| report.paths.failed.len()).sum();
    let refused = reports.iter().filter(|report| report.refused.is_some()).count();
    if failed + refused == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!("{failed} paths and {refused} caches could not be imported"))
        .hint("the same command again takes only what is missing"))
}
