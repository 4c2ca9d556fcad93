//! `login`

use crate::{
    cli::Login,
    config::{CONFIG_FILE, Config},
    environment::Environment,
    output::{Failure, Printer},
    target::parse_endpoint,
};

pub(super) fn run(login: &Login, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    if login.name.is_empty() || login.name.contains(':') {
        return Err(
            Failure::usage(format!("a server cannot be called {:?}", login.name)).hint("choose a name without ':'")
        );
    }
    let endpoint = parse_endpoint(&login.url)?;
    let token = login.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
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
