//! `promote policy`

use protocol::promotion::SetPolicy;

use super::show;
use crate::{
    cli::Policy,
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
    target::Target,
};

pub(super) async fn run(given: &Policy, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let target = Target::find(given.within.cache.as_deref(), environment)?;
    let api = target.api(|_| {})?;
    let failed = |error| failure::api_about(&target, &error);
    let rules = match &given.set {
        None => None,
        Some(file) => {
            let text = std::fs::read_to_string(file);
            let text = text.map_err(|error| Failure::of(ExitStatus::Usage, &error).about(file.display()))?;
            let rules: serde_json::Value =
                toml::from_str(&text).map_err(|error| Failure::of(ExitStatus::Usage, &error).about(file.display()))?;
            Some(rules)
        }
    };
    let policy = api.policy(&target.cache).await.map_err(failed)?;
    if !given.unset && rules.is_none() {
        return print(printer, &policy, given.json);
    }
    let expected = policy["number"].as_i64().unwrap_or_default();
    let set = api.set_policy(&target.cache, &SetPolicy { rules, expected }).await.map_err(failed)?;
    printer.note(format_args!("policy number {} of {} is in effect", set.number, target.cache));
    match given.json {
        true => show::json(printer, &set),
        false => Ok(()),
    }
}

/// As a policy file has it.
fn print(printer: Printer, policy: &serde_json::Value, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return show::json(printer, policy);
    }
    let text = |key: &str| policy[key].as_str().unwrap_or_default().to_owned();
    printer.data(format_args!("# version {}, digest {}", text("version"), text("digest")));
    printer.data(match policy["set_by"].as_str() {
        Some(who) => format!("# number {}, set by {who}", policy["number"]),
        None => "# the server's own".to_owned(),
    });
    let rules = toml::to_string(&policy["rules"]).map_err(|error| Failure::of(ExitStatus::Failed, &error))?;
    printer.data(rules.trim_end());
    Ok(())
}
