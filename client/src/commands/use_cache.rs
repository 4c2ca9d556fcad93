//! `use`

use protocol::attic::CacheConfig;
use url::Url;

use crate::{
    cli::Use,
    environment::Environment,
    failure,
    file::{self, Secrecy},
    netrc,
    nix_conf::{self, CacheSettings},
    output::{ExitStatus, Failure, Printer},
    target::Target,
};

pub(super) async fn run(given: &Use, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let target = Target::find(given.cache.as_deref(), environment)?;
    let config =
        target.api(|_| {})?.cache_config(&target.cache).await.map_err(|error| failure::api_about(&target, &error))?;
    let substituter = substituter(&target, &config)?;
    let conf_path = environment.config_file("nix/nix.conf")?;
    let conf = file::read(&conf_path)?.unwrap_or_default();

    let is_private = config.is_public == Some(false);
    let mut netrc_file = None;
    if let Some(token) = target.token.as_deref().filter(|_| is_private) {
        let path = match nix_conf::get(&conf, "netrc-file") {
            Some(path) => path.into(),
            None => environment.config_file("nix/netrc")?,
        };
        let host = substituter.host_str().unwrap_or_default();
        let before = file::read(&path)?.unwrap_or_default();
        let after = netrc::edit(&before, host, token);
        if after != before {
            file::write(&path, &after, Secrecy::Secret)?;
            printer.note(format_args!("{} has the token for {host}", path.display()));
        }
        netrc_file = Some(path.to_string_lossy().into_owned());
    } else if is_private {
        printer.warning("the cache is private, and no token is known that Nix could use");
    }

    let settings = CacheSettings {
        substituter: substituter.as_str(),
        public_key: config.public_key.as_deref(),
        netrc_file: netrc_file.as_deref(),
    };
    let edited = nix_conf::edit(&conf, settings);
    for key in &edited.replaced_keys {
        printer.warning(format_args!("no longer trusted, since Nix heeds one key of a name only: {key}"));
    }
    if edited.text == conf {
        printer.note(format_args!("{} says so already", conf_path.display()));
    } else {
        file::write(&conf_path, &edited.text, Secrecy::Plain)?;
        printer.note(format_args!("{} makes Nix substitute from {substituter}", conf_path.display()));
    }
    Ok(())
}

/// Where Nix substitutes from: what the server says, or the usual place under the address that we know.
fn substituter(target: &Target, config: &CacheConfig) -> Result<Url, Failure> {
    let text = match config.substituter_endpoint.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => text.to_owned(),
        None => format!("{}/{}", target.endpoint.as_str().trim_end_matches('/'), target.cache),
    };
    // What goes into nix.conf is one word, whatever a server may say.
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && !url.as_str().contains([' ', '#', '\n']) => Ok(url),
        Ok(_) | Err(_) => Err(Failure::new(
            ExitStatus::Failed,
            format!("the server names {text:?} as substituter, which is no address"),
        )),
    }
}
