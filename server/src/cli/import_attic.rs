//! `import-attic`: caches of a deployment of Attic.

use std::path::PathBuf;

use clap::Args;
use protocol::{CacheName, SystemClock};
use source::attic::{AtticDatabase, AtticFiles};

use super::{
    Context, Failure, Output,
    import::{Common, Inside, block_on_all, print},
    progress::Ticker,
};
use crate::{
    config::{self, Config, DatabaseUrl, Environment, Sources},
    import::{
        ImportError,
        attic::{Attic, Target, import_attic},
    },
};

#[derive(Debug, Args)]
pub(super) struct ImportAtticArgs {
    /// Attic's server.toml, which says where its database and its storage are
    #[arg(value_name = "SERVER_TOML", required_unless_present_all = ["database", "storage"])]
    from: Option<PathBuf>,
    /// Attic's database, if not the one in its server.toml: sqlite:///path or postgresql://…
    #[arg(long, value_name = "URL")]
    database: Option<DatabaseUrl>,
    /// The folder of Attic's storage, if not the one in its server.toml
    #[arg(long, value_name = "DIR")]
    storage: Option<PathBuf>,
    /// Import only this cache; may be given more than once
    #[arg(long = "cache", value_name = "NAME")]
    caches: Vec<CacheName>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &ImportAtticArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let (database, storage) = places(args)?;
    let mut ticker = Ticker::new(&mut *output.notes);
    let reports = block_on_all(async {
        let attic = open(&database, &storage).await.map_err(ImportError::from)?;
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

/// Where Attic keeps its rows and its files.
fn places(args: &ImportAtticArgs) -> Result<(DatabaseUrl, PathBuf), Failure> {
    let theirs = match &args.from {
        Some(file) => Some(read(file.clone())?),
        None => None,
    };
    let database = match (&args.database, &theirs) {
        (Some(url), _) => url.clone(),
        (None, Some(config)) => config.database.url.clone(),
        (None, None) => return Err(Failure::usage("say --database, or name Attic's server.toml")),
    };
    let storage = match (&args.storage, theirs.map(|config| config.storage)) {
        (Some(folder), _) => folder.clone(),
        (None, Some(config::Storage::Local { path })) => path,
        (None, Some(config::Storage::S3(s3))) => {
            let message = format!("Attic's storage is the bucket {}, and this build reads folders only", s3.bucket);
            return Err(Failure::failed(message).hint("copy the bucket into a folder, and say --storage DIR"));
        }
        (None, None) => return Err(Failure::usage("say --storage, or name Attic's server.toml")),
    };
    Ok((database, storage))
}

/// Attic's configuration. Our own environment says nothing about it.
fn read(file: PathBuf) -> Result<Config, Failure> {
    // What it leaves out would be made up; nothing is read or written there.
    let data_dir = file.parent().map(PathBuf::from);
    let sources =
        Sources { file: Some(file), data_dir, listen: None, log_format: None, environment: Environment::default() };
    Ok(Config::load(&sources)?.config)
}

async fn open(database: &DatabaseUrl, storage: &std::path::Path) -> source::Result<Attic> {
    let database = match database {
        DatabaseUrl::Sqlite(file) => AtticDatabase::open_sqlite(file).await?,
        DatabaseUrl::Postgres(url) => AtticDatabase::open_postgres(url.expose()).await?,
    };
    Ok(Attic { database, files: AtticFiles::open(storage)? })
}
