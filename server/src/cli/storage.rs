//! `storage`: looking after the storage.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Context, Failure, Output, block_on};
use crate::{
    run,
    storage_check::{Finding, Verdict},
};

#[derive(Debug, Subcommand)]
pub(super) enum StorageVerb {
    /// Prove that the storage does what a server relies on: writes, reads and deletes objects of its own in it, for some seconds
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(verb: StorageVerb, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let StorageVerb::Check(args) = verb;
    let config = context.config(output)?;
    config.validate()?;
    let (name, findings) = block_on(async { run::check_storage(&config).await })??;
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    if args.json {
        let told = json!({ "storage": name, "usable": bad == 0, "findings": findings });
        writeln!(output.data, "{told:#}")?;
    } else {
        writeln!(output.data, "{name}")?;
        let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        for Finding { check, verdict, detail } in &findings {
            let verdict = match verdict {
                Verdict::Good => "good",
                Verdict::Note => "note",
                Verdict::Bad => "BAD ",
            };
            writeln!(output.data, "{verdict}  {check:width$}  {detail}")?;
        }
    }
    match bad {
        0 => Ok(()),
        _ => Err(Failure::failed(format!("{bad} of {} checks say that this storage must not be used", findings.len()))),
    }
}
