//! The command line: `flywheel-server`, which answers to `atticd` and `atticadm` too.
//!
//! Data goes to standard output, everything else to standard error. The exit status is 0 if it went well, 1 if not, and 2 if
//! the command line makes no sense; `fsck` has two more. One verb is one file.

mod audit;
mod cache;
mod check_config;
mod failure;
mod fsck;
mod gc;
mod import;
mod import_attic;
mod index;
mod keep;
mod migrate;
mod progress;
mod rebuild_index;
mod serve;
mod stats;
mod storage;
mod token;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use database::Database;
use protocol::{Clock, SystemClock, Timestamp};
use serde::Serialize;

use crate::{
    audit::{Deed, Who, note},
    config::{Config, Environment, Loaded, LogFormat, Sources},
    run, telemetry,
};

use failure::{ExitStatus, Failure};
use serve::ServeArgs;

/// A Nix binary cache. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "flywheel-server", version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Options of every verb.
#[derive(Debug, Args)]
struct Common {
    /// The configuration, with Attic's keys [default: what is in $ATTIC_SERVER_CONFIG_BASE64, else none]
    #[arg(short = 'f', long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for whatever the configuration gives no place [default: $FLYWHEEL_DATA_DIR, else ~/.local/share/flywheel-cache]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How the log is written
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve (this is what happens without a command)
    Serve(ServeArgs),
    /// Print the configuration that is in effect, with secrets masked
    CheckConfig,
    /// Make, list and revoke access tokens
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Make an access token, with the options of `atticadm`
    MakeToken(token::MakeTokenArgs),
    /// Look after caches, in the database of this machine
    #[command(subcommand)]
    Cache(cache::CacheVerb),
    /// Compare what is stored with what the index says, and mend it
    Fsck(fsck::FsckArgs),
    /// Tell how much there is
    Stats(stats::StatsArgs),
    /// Show what was done by those who may do more than push and pull
    #[command(subcommand)]
    Audit(audit::AuditVerb),
    /// Take paths in from another binary cache, by URL or in a folder
    Import(import::ImportArgs),
    /// Take caches in from a deployment of Attic, with their keys and paths
    ImportAttic(import_attic::ImportAtticArgs),
    /// Make the index anew from the storage alone
    RebuildIndex(rebuild_index::RebuildArgs),
    /// Look after the index
    #[command(subcommand)]
    Index(index::IndexVerb),
    /// Collect what is not kept any more, now
    Gc(gc::GcArgs),
    /// Say why a path is kept, or when it goes
    Explain(keep::PathArgs),
    /// Delete paths by hand
    #[command(subcommand)]
    Path(keep::PathVerb),
    /// Keep paths, however long they are not used
    #[command(subcommand)]
    Pin(keep::PinVerb),
    /// Look after the storage
    #[command(subcommand)]
    Storage(storage::StorageVerb),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// How the program was called.
struct Invocation<'a> {
    /// The command line, the program's name first.
    args: Vec<OsString>,
    environment: Environment,
    clock: &'a dyn Clock,
}

/// Where a verb writes.
struct Output<'a> {
    /// What was asked for.
    data: &'a mut dyn Write,
    /// Everything else.
    notes: &'a mut dyn Write,
}

impl Output<'_> {
    /// What was asked for, as JSON on a line of its own.
    fn json(&mut self, told: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.data, told)?;
        writeln!(self.data)
    }
}

/// What every verb has to go by.
struct Context<'a> {
    sources: Sources,
    clock: &'a dyn Clock,
}

impl Context<'_> {
    /// The configuration; warnings go to the notes.
    fn config(&self, output: &mut Output<'_>) -> Result<Config, Failure> {
        let Loaded { config, warnings, .. } = Config::load(&self.sources)?;
        for warning in warnings {
            writeln!(output.notes, "warning: {warning}")?;
        }
        Ok(config)
    }

    /// The operator.
    fn who(&self) -> Who {
        Who::operator(&self.sources.environment)
    }

    /// Writes down what the operator did.
    async fn note(&self, database: &dyn Database, deed: Deed) {
        note(database, self.clock.now(), &self.who(), deed).await;
    }
}

/// Runs the program with the process's arguments, environment and streams.
#[must_use]
pub fn main() -> ExitCode {
    memory::give_back_large_buffers();
    let invocation = Invocation {
        args: std::env::args_os().collect(),
        environment: std::env::vars_os().collect(),
        clock: &SystemClock,
    };
    let rust_log = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let serve = |Loaded { config, warnings, .. }: Loaded, options| -> anyhow::Result<()> {
        telemetry::install(config.flywheel.log_format, rust_log.as_deref())?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run::serve(config, options))
    };
    let output = Output { data: &mut io::stdout(), notes: &mut io::stderr() };
    invoke(invocation, output, serve).into()
}

/// A time as people read it.
fn date(at: Timestamp) -> String {
    let since_1970 = std::time::Duration::from_secs(u64::try_from(at.0).unwrap_or(0));
    // Beyond the year 9999 there is nothing to tell apart.
    let latest = std::time::Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since_1970.min(latest)).to_string()
}

/// Waits for something that needs a runtime.
fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}

/// Runs the program and says how it ended.
fn invoke<S>(invocation: Invocation<'_>, mut output: Output<'_>, serve: S) -> ExitStatus
where
    S: FnOnce(Loaded, run::Options) -> anyhow::Result<()>,
{
    let done = match parse(&invocation.args) {
        Ok((cli, command)) => dispatch(cli, command, invocation, &mut output, serve),
        Err(error) => {
            // Help and version were asked for; everything else is a mistake.
            let (stream, status) = match error.use_stderr() {
                true => (&mut output.notes, ExitStatus::Usage),
                false => (&mut output.data, ExitStatus::Ok),
            };
            let _ = write!(stream, "{}", error.render());
            return status;
        }
    };
    match done {
        Ok(()) => ExitStatus::Ok,
        Err(failure) => {
            // Nobody is left to be told if this fails.
            let _ = write!(output.notes, "{failure}");
            failure.status
        }
    }
}

/// Reads the command line. The program goes by the name that it was called by, so that usage texts can be typed in.
fn parse(args: &[OsString]) -> Result<(Cli, clap::Command), clap::Error> {
    let called = args.first().and_then(|program| Path::new(program).file_name()?.to_str());
    let name = match called {
        Some("atticd") => "atticd",
        Some("atticadm") => "atticadm",
        _ => "flywheel-server",
    };
    let mut command = Cli::command().name(name).bin_name(name);
    if name == "atticadm" {
        command = command.subcommand_required(true).arg_required_else_help(true);
    }
    let matches = command.clone().try_get_matches_from(args)?;
    Ok((Cli::from_arg_matches(&matches)?, command))
}

fn dispatch<S>(
    cli: Cli,
    mut command: clap::Command,
    invocation: Invocation<'_>,
    output: &mut Output<'_>,
    serve: S,
) -> Result<(), Failure>
where
    S: FnOnce(Loaded, run::Options) -> anyhow::Result<()>,
{
    let verb = match (cli.verb, cli.serve) {
        (None, args) => Verb::Serve(args),
        (Some(verb), args) if args == ServeArgs::default() => verb,
        (Some(Verb::Serve(_)), _) => return Err(Failure::usage("write the options of serving after `serve`")),
        (Some(_), _) => return Err(Failure::usage("--listen, --mode, --init-cache and --public go with serving only")),
    };
    let sources = Sources {
        file: cli.common.config,
        data_dir: cli.common.data_dir,
        listen: None,
        log_format: cli.common.log_format,
        environment: invocation.environment,
    };
    let context = Context { sources, clock: invocation.clock };
    match verb {
        Verb::Serve(args) => serve::run(args, context, output, serve),
        Verb::CheckConfig => check_config::run(&context, output),
        Verb::Token(verb) => token::run(verb, &context, output),
        Verb::MakeToken(args) => token::make_token(args, &context, output),
        Verb::Audit(verb) => audit::run(verb, &context, output),
        Verb::Cache(verb) => cache::run(verb, &context, output),
        Verb::Fsck(args) => fsck::run(&args, &context, output),
        Verb::Stats(args) => stats::run(&args, &context, output),
        Verb::Import(args) => import::run(&args, &context, output),
        Verb::ImportAttic(args) => import_attic::run(&args, &context, output),
        Verb::RebuildIndex(args) => rebuild_index::run(args, &context, output),
        Verb::Index(verb) => index::run(verb, &context, output),
        Verb::Gc(args) => gc::run(&args, &context, output),
        Verb::Explain(args) => keep::explain(&args, &context, output),
        Verb::Path(verb) => keep::path(verb, &context, output),
        Verb::Pin(verb) => keep::pin(verb, &context, output),
        Verb::Storage(verb) => storage::run(verb, &context, output),
        Verb::Completions { shell } => {
            let name = command.get_name().to_owned();
            clap_complete::generate(shell, &mut command, name, output.data);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
