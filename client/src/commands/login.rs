//! `login`

use std::time::Duration;

use client::api::{Api, Settings};
use url::Url;

use crate::{
    cli::Login,
    config::{CONFIG_FILE, Config},
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
    target::parse_endpoint,
};

pub(super) async fn run(login: &Login, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    if login.name.is_empty() || login.name.contains(':') {
        return Err(
            Failure::usage(format!("a server cannot be called {:?}", login.name)).hint("choose a name without ':'")
        );
    }
    let endpoint = parse_endpoint(&login.url)?;
    let exchanged = if login.oidc { Some(exchange(&endpoint, environment, printer).await?) } else { None };
    let given = exchanged.as_deref().or(login.token.as_deref());
    let token = given.map(str::trim).filter(|token| !token.is_empty());
    let path = environment.config_file(CONFIG_FILE)?;
    let mut config = Config::read(&path)?;
    config.log_in(&login.name, endpoint.as_str(), token, login.set_default);
    config.write(&path)?;
    printer.note(format_args!("{} is {endpoint}, says {}", login.name, path.display()));
    if config.default_server() == Some(login.name.as_str()) {
        printer.note(format_args!("{} is the server when none is named", login.name));
    }
    Ok(())
}

/// The token that this job's identity is exchanged for.
async fn exchange(endpoint: &Url, environment: &Environment, printer: Printer) -> Result<String, Failure> {
    if environment.identity.is_none() {
        return Err(Failure::usage("this is no CI job with an identity").hint(
            "on GitHub the job needs `permissions: id-token: write`; on GitLab it needs `id_tokens: FLYWHEEL_ID_TOKEN`",
        ));
    }
    let settings = Settings { identity: environment.identity.clone(), ..Settings::new(endpoint.clone(), None) };
    let api = Api::new(settings).map_err(|error| failure::api(&error))?;
    let minted = api.exchange().await.map_err(|error| failure::api(&error))?;
    let minted = minted.ok_or_else(|| {
        Failure::new(ExitStatus::NotAllowed, format!("{endpoint} exchanges no identities"))
            .hint("its configuration has no [[flywheel.exchange.rules]]")
    })?;
    let lasts = humantime::format_duration(Duration::from_secs(minted.expires_in));
    printer.note(format_args!("a token for {}, good for {lasts}", minted.subject));
    Ok(minted.token)
}
