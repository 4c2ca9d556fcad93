//! `promote attest`

use std::path::Path;

use formats::SecretKey;
use protocol::promotion::{Envelope, STATEMENT_PAYLOAD, TestResult};

use super::show;
use crate::{
    cli::Attest,
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
    target::Target,
};

pub(super) async fn run(given: Attest, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let target = Target::find(given.within.cache.as_deref(), environment)?;
    let api = target.api(|_| {})?;
    let failed = |error| failure::api_about(&target, &error);
    let envelope = match (&given.envelope, &given.key_file) {
        (Some(file), _) => {
            let text = read(file)?;
            serde_json::from_str(&text).map_err(|error| Failure::of(ExitStatus::Usage, &error).about(file.display()))?
        }
        (None, Some(file)) => {
            let key: SecretKey =
                read(file)?.parse().map_err(|error| Failure::of(ExitStatus::Usage, &error).about(file.display()))?;
            let claim = api.claim(&target.cache, given.claim).await.map_err(failed)?;
            let statement = TestResult::about(&claim.claim, given.checks, given.failed);
            let text = serde_json::to_string(&statement).map_err(|error| Failure::of(ExitStatus::Failed, &error))?;
            Envelope::seal(STATEMENT_PAYLOAD, &text, &key)
        }
        (None, None) => return Err(Failure::usage("there is no key to sign with").hint("name one with --key-file")),
    };
    let taken = api.attest(&target.cache, given.claim, &envelope).await.map_err(failed)?;
    if given.json {
        return show::json(printer, &taken);
    }
    if taken["signed_by"].as_array().is_none_or(Vec::is_empty) {
        printer.warning("it is kept, and counts for nothing: no key of the policy has signed it");
    }
    printer.note(format_args!("claim {} is verified again with it", given.claim));
    Ok(())
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure::of(ExitStatus::Usage, &error).about(file.display()))
}
