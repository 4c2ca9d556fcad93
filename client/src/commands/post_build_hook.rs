//! `post-build-hook`

use std::fs;

use client::watch;
use formats::StorePath;

use super::watch::queue_folder;
use crate::{cli, environment::Environment, output::Printer};

/// Queues what Nix has built. Whatever goes wrong is a warning: Nix fails the build if its hook fails.
pub(super) fn run(hook: &cli::PostBuildHook, environment: &Environment, printer: Printer) {
    let paths = built(environment);
    if paths.is_empty() {
        return printer.warning("Nix does not tell what was built: neither OUT_PATHS nor DRV_PATH helps");
    }
    let folder = match queue_folder(hook.queue_dir.as_deref(), hook.cache.as_deref(), environment) {
        Ok(folder) => folder,
        Err(failure) => return printer.warning(format!("what was built is not queued: {}", failure.message)),
    };
    if let Err(error) = watch::deliver(&folder, &paths) {
        printer.warning(format!("what was built is not queued in {}: {error}", folder.display()));
    }
}

/// What `OUT_PATHS` names. Nix 2.8 leaves that empty, but the derivation says it too.
fn built(environment: &Environment) -> Vec<StorePath> {
    let named = environment.out_paths.as_deref().unwrap_or_default();
    let paths: Vec<StorePath> = named.split_ascii_whitespace().filter_map(parse).collect();
    if !paths.is_empty() {
        return paths;
    }
    let derivation = environment.drv_path.as_ref().and_then(|path| fs::read_to_string(path).ok());
    derivation.map(|text| outputs(&text)).unwrap_or_default()
}

/// The outputs in a derivation's text, which begins with the list of them: `Derive([("out","/nix/store/…","",""),…],…`.
fn outputs(derivation: &str) -> Vec<StorePath> {
    let Some(rest) = derivation.strip_prefix("Derive([") else { return Vec::new() };
    let list = rest.split_once(']').map_or("", |(list, _)| list);
    // Neither names of outputs nor store paths hold quotes: every second part is a string, four of them an output.
    let strings: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    strings.chunks(4).filter_map(|output| parse(output.get(1)?)).collect()
}

/// The hook's environment need not tell what the store dir is, so only the last part counts.
fn parse(path: &str) -> Option<StorePath> {
    path.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derivation_tells_its_outputs() {
        let (a, b) = (format!("{}-x", "a".repeat(32)), format!("{}-x-dev", "b".repeat(32)));
        let text = format!(
            r#"Derive([("dev","/nix/store/{b}","",""),("out","/nix/store/{a}","r:sha256","00")],[("/nix/store/{a}.drv",["out"])],[],"s","/bin/sh",[],[])"#
        );
        let found: Vec<String> = outputs(&text).iter().map(ToString::to_string).collect();
        assert_eq!(found, [b, a]);
        assert!(outputs(r#"Derive([("out","","r:sha256","")],[],[],"s","b",[],[])"#).is_empty(), "it is not known yet");
        assert!(outputs("").is_empty() && outputs("Derive([").is_empty());
    }
}
