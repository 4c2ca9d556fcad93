//! `cache create`, `configure`, `info` and `destroy`

use std::io::{self, IsTerminal, Write};

use protocol::attic::{CacheConfig, KeypairConfig, RetentionPeriod};

use crate::{
    cli::{Configure, Create, Destroy, Info},
    environment::Environment,
    failure, file,
    output::{ExitStatus, Failure, Printer},
    target::Target,
};

pub(super) async fn create(create: Create, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let target = Target::find(create.cache.as_deref(), environment)?;
    let config = CacheConfig {
        keypair: Some(keypair(create.keypair_path.as_deref())?.unwrap_or(KeypairConfig::Generate)),
        is_public: Some(create.public),
        store_dir: Some(create.store_dir),
        priority: Some(create.priority),
        // An empty name is how to say "none": the option has a default.
        upstream_cache_key_names: Some(
            create.upstream_cache_key_names.into_iter().filter(|name| !name.is_empty()).collect(),
        ),
        ..CacheConfig::default()
    };
    target
        .api(|_| {})?
        .create_cache(&target.cache, &config)
        .await
        .map_err(|error| failure::api_about(&target, &error))?;
    printer.note(format_args!("created {target}"));
    Ok(())
}

pub(super) async fn configure(
    configure: Configure,
    environment: &Environment,
    printer: Printer,
) -> Result<(), Failure> {
    let target = Target::find(configure.cache.as_deref(), environment)?;
    let change = change(configure)?;
    if change == CacheConfig::default() {
        return Err(Failure::usage("nothing to change").hint("see --help for what can be"));
    }
    target
        .api(|_| {})?
        .configure_cache(&target.cache, &change)
        .await
        .map_err(|error| failure::api_about(&target, &error))?;
    printer.note(format_args!("configured {target}"));
    Ok(())
}

/// Exactly what was given: what is left out stays as it is on the server.
fn change(configure: Configure) -> Result<CacheConfig, Failure> {
    let keypair = match keypair(configure.keypair_path.as_deref())? {
        None if configure.regenerate_keypair => Some(KeypairConfig::Generate),
        given => given,
    };
    let retention_period = match configure.retention_period.map(|period| u32::try_from(period.as_secs())) {
        Some(Ok(seconds)) => Some(RetentionPeriod::Period(seconds)),
        Some(Err(_)) => {
            return Err(Failure::usage("the retention period is too long").hint("\"0s\" keeps paths for ever"));
        }
        None => configure.reset_retention_period.then_some(RetentionPeriod::Global),
    };
    Ok(CacheConfig {
        keypair,
        is_public: if configure.public { Some(true) } else { configure.private.then_some(false) },
        store_dir: configure.store_dir,
        priority: configure.priority,
        upstream_cache_key_names: configure
            .upstream_cache_key_names
            .map(|names| names.into_iter().filter(|name| !name.is_empty()).collect()),
        retention_period,
        ..CacheConfig::default()
    })
}

pub(super) async fn info(info: &Info, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let target = Target::find(info.cache.as_deref(), environment)?;
    let config =
        target.api(|_| {})?.cache_config(&target.cache).await.map_err(|error| failure::api_about(&target, &error))?;
    if info.json {
        let json = serde_json::to_string(&config).map_err(|error| Failure::of(ExitStatus::Failed, &error))?;
        printer.data(json);
    } else {
        printer.data(describe(&config).trim_end());
    }
    Ok(())
}

/// One line for each thing that the server told, each name at the beginning of its line, where scripts look for it.
fn describe(config: &CacheConfig) -> String {
    let retention = config.retention_period.map(|period| match period {
        RetentionPeriod::Global => "as the server's default".to_owned(),
        RetentionPeriod::Period(0) => "for ever".to_owned(),
        RetentionPeriod::Period(seconds) => {
            humantime::format_duration(std::time::Duration::from_secs(seconds.into())).to_string()
        }
    });
    let lines = [
        ("Public", config.is_public.map(|public| public.to_string())),
        ("Public Key", config.public_key.clone()),
        ("Binary Cache Endpoint", config.substituter_endpoint.clone()),
        ("API Endpoint", config.api_endpoint.clone()),
        ("Store Directory", config.store_dir.clone()),
        ("Priority", config.priority.map(|priority| priority.to_string())),
        ("Upstream Cache Keys", config.upstream_cache_key_names.as_ref().map(|names| names.join(" "))),
        ("Retention Period", retention),
    ];
    lines.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}\n", value?))).collect()
}

pub(super) async fn destroy(destroy: &Destroy, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    let target = Target::find(Some(&destroy.cache), environment)?;
    if !destroy.no_confirm && !confirmed(&target)? {
        return Err(Failure::new(ExitStatus::Failed, "not confirmed, nothing was destroyed"));
    }
    target.api(|_| {})?.destroy_cache(&target.cache).await.map_err(|error| failure::api_about(&target, &error))?;
    printer.note(format_args!("destroyed {target}"));
    Ok(())
}

fn confirmed(target: &Target) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("destroying a cache has to be confirmed")
            .hint("give --no-confirm where nobody can be asked"));
    }
    eprint!("This destroys {target} for everybody. Type its name to go on: ");
    let failed = |error: io::Error| Failure::of(ExitStatus::Failed, &error);
    io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim() == target.cache.as_str())
}

fn keypair(path: Option<&std::path::Path>) -> Result<Option<KeypairConfig>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let text = file::read(path)?
        .ok_or_else(|| Failure::new(ExitStatus::Failed, format!("the key file {} is not there", path.display())))?;
    // Only what is a key leaves this machine.
    let key: formats::SecretKey =
        text.parse().map_err(|error| Failure::usage(format!("{} is no secret key: {error}", path.display())))?;
    Ok(Some(KeypairConfig::Keypair(key.to_text())))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cache, Cli, Command};

    fn changes(options: &str) -> String {
        let line = format!("attic cache configure main {options}");
        let Command::Cache(Cache::Configure(configure)) = Cli::parse_from(line.split_whitespace()).command else {
            panic!("{line}")
        };
        serde_json::to_string(&change(configure).unwrap()).unwrap()
    }

    #[test]
    fn only_what_is_given_is_sent() {
        assert_eq!(changes(""), "{}");
        assert_eq!(changes("--private --priority -1"), r#"{"is_public":false,"priority":-1}"#);
        assert_eq!(changes("--regenerate-keypair"), r#"{"keypair":"Generate"}"#);
        assert_eq!(changes("--retention-period 30days"), r#"{"retention_period":{"Period":2592000}}"#);
        assert_eq!(changes("--reset-retention-period"), r#"{"retention_period":"Global"}"#);
        let upstream = changes("--upstream-cache-key-name a --upstream-cache-key-name b");
        assert_eq!(upstream, r#"{"upstream_cache_key_names":["a","b"]}"#);
    }

    #[test]
    fn the_public_key_stands_where_scripts_look_for_it() {
        let config = CacheConfig {
            public_key: Some("main:KEY=".into()),
            is_public: Some(true),
            retention_period: Some(RetentionPeriod::Period(86400)),
            ..CacheConfig::default()
        };
        assert_eq!(describe(&config), "Public: true\nPublic Key: main:KEY=\nRetention Period: 1day\n");
    }
}
