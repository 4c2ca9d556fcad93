//! The command line.

mod admin;
mod promote;
mod push;
mod watch;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use admin::{Audit, Limits, OnServer, Token, Warm};
pub(crate) use promote::{Attest, Built, Candidates, CheckBuild, ClaimBuild, Explain, Policy, Promote, Verification};
pub(crate) use push::{Protocol, Push};
pub(crate) use watch::{PostBuildHook, Stop, WatchExec, WatchStore, WatchStoreVerb, Watching};

/// Pushes store paths to a binary cache, and administers caches.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    /// Print errors and what was asked for, nothing else.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(Login),
    Use(Use),
    Push(Push),
    WatchStore(WatchStore),
    WatchExec(WatchExec),
    PostBuildHook(PostBuildHook),
    /// Administer caches.
    #[command(subcommand)]
    Cache(Cache),
    /// Keep paths in a cache, however long they are not used.
    #[command(subcommand)]
    Pin(Pin),
    /// Make, list and revoke access tokens.
    #[command(subcommand)]
    Token(Token),
    Audit(Audit),
    Warm(Warm),
    /// Say which outputs are clean, and promote them.
    #[command(subcommand)]
    Promote(Promote),
    Explain(Explain),
    Verify(Verification),
    Candidates(Candidates),
    Completions(Completions),
}

/// Remember a server and the token for it.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// What to call the server.
    pub(crate) name: String,
    /// Its address, without a cache's name.
    pub(crate) url: String,
    /// The token; none for a server that asks for none.
    pub(crate) token: Option<String>,
    /// Use this server when none is named.
    #[arg(long)]
    pub(crate) set_default: bool,
    /// Exchange the identity of this CI job for a token, which is good for a while only.
    #[arg(long, conflicts_with = "token")]
    pub(crate) oidc: bool,
}

/// Make Nix substitute from a cache: edits your nix.conf and, for a private cache, your netrc.
#[derive(Debug, Args)]
pub(crate) struct Use {
    /// The cache; by default the one that ATTIC_CACHE names.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    Create(Create),
    Configure(Configure),
    Info(Info),
    Limits(Limits),
    Destroy(Destroy),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pin {
    /// Keep a path, with everything that it refers to.
    Add {
        /// The cache.
        #[arg(value_name = "[SERVER:]CACHE")]
        cache: String,
        /// The name of the pin.
        name: String,
        /// The store path, or a link to it.
        path: String,
        /// How many revisions of the name to keep, this one among them; by default all.
        #[arg(long, value_name = "N")]
        keep_revisions: Option<u32>,
        /// How long to keep it, such as "30 days"; by default for ever.
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        ttl: Option<Duration>,
    },
    /// List the pins of a cache.
    List {
        /// The cache; by default the one that ATTIC_CACHE names.
        #[arg(value_name = "[SERVER:]CACHE")]
        cache: Option<String>,
        /// Print them as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Keep a path no longer.
    Remove {
        /// The cache.
        #[arg(value_name = "[SERVER:]CACHE")]
        cache: String,
        /// The name of the pin.
        name: String,
        /// Only this revision.
        #[arg(long)]
        revision: Option<u32>,
    },
}

/// Create a cache.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The cache.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
    /// Let anybody pull from it.
    #[arg(long)]
    pub(crate) public: bool,
    /// The store dir of its paths.
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    pub(crate) store_dir: String,
    /// Its priority; substituters with a lower one are asked first.
    #[arg(long, value_name = "N", default_value = "41", allow_negative_numbers = true)]
    pub(crate) priority: i32,
    /// A key whose paths need not be pushed, by name; give it again for more.
    #[arg(long = "upstream-cache-key-name", value_name = "NAME", default_value = "cache.nixos.org-1")]
    pub(crate) upstream_cache_key_names: Vec<String>,
    /// Sign with the secret key in this file instead of a new one.
    #[arg(long, value_name = "FILE")]
    pub(crate) keypair_path: Option<PathBuf>,
}

/// Change a cache; what is not named stays as it is.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("visibility").args(["public", "private"])))]
#[command(group(ArgGroup::new("keypair").args(["regenerate_keypair", "keypair_path"])))]
#[command(group(ArgGroup::new("retention").args(["retention_period", "reset_retention_period"])))]
pub(crate) struct Configure {
    /// The cache.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
    /// Let anybody pull from it.
    #[arg(long)]
    pub(crate) public: bool,
    /// Let only those with a token pull from it.
    #[arg(long)]
    pub(crate) private: bool,
    /// Sign with a new key from now on. Whoever trusts the old one has to be told.
    #[arg(long)]
    pub(crate) regenerate_keypair: bool,
    /// Sign with the secret key in this file from now on.
    #[arg(long, value_name = "FILE")]
    pub(crate) keypair_path: Option<PathBuf>,
    /// The store dir of its paths.
    #[arg(long, value_name = "DIR")]
    pub(crate) store_dir: Option<String>,
    /// Its priority; substituters with a lower one are asked first.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// A key whose paths need not be pushed, by name; give it again for more. Replaces all that were set.
    #[arg(long = "upstream-cache-key-name", value_name = "NAME")]
    pub(crate) upstream_cache_key_names: Option<Vec<String>>,
    /// How long unused paths are kept, such as "30 days"; "0s" is for ever.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) retention_period: Option<Duration>,
    /// Keep unused paths as long as the server does by default.
    #[arg(long)]
    pub(crate) reset_retention_period: bool,
}

/// Show a cache's configuration.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The cache; by default the one that ATTIC_CACHE names.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
    /// Print it as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Destroy a cache. Its name is free from then on.
#[derive(Debug, Args)]
pub(crate) struct Destroy {
    /// The cache.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: String,
    /// Do not ask.
    #[arg(long)]
    pub(crate) no_confirm: bool,
}

/// Print the completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: Shell,
}

/// What the program was called as: the name of Attic's client, or our own.
pub(crate) fn program_name(argv0: Option<&OsStr>) -> &'static str {
    let called = argv0.and_then(|path| Path::new(path).file_name());
    if called.is_some_and(|name| name == "attic") { "attic" } else { "flywheel-push" }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_of_promotion_says_what_it_does_and_has_json() {
        let all = Cli::command();
        let promote = all.find_subcommand("promote").unwrap();
        let verbs: Vec<_> = promote.get_subcommands().collect();
        assert!(verbs.len() >= 14);
        for verb in verbs.into_iter().chain(["explain", "candidates"].map(|name| all.find_subcommand(name).unwrap())) {
            let has = |name: &str| verb.get_arguments().any(|argument| argument.get_long() == Some(name));
            assert!(verb.get_about().is_some() && has("json") && has("cache"), "{}", verb.get_name());
        }
    }

    #[test]
    fn the_lines_that_scripts_use_are_understood() {
        for line in [
            "attic login ci http://localhost:8080",
            "attic login --set-default ci http://localhost:8080 eyJ.x.y",
            "attic login ci http://localhost:8080 --oidc",
            "attic push main result ./result-dev",
            "attic push ci:main --stdin -j 8 --no-closure",
            "attic push main /nix/store/x --ignore-upstream-cache-filter --force-preamble --quiet",
            "attic push main /nix/store/x --jobs 3 --dry-run --explain --json",
            "attic push main --all-valid --exclude *.drv --exclude *-source",
            "attic push main x --protocol native --level 8 --compression-jobs 2 --max-request-size 90MiB --limit-rate 5M",
            "attic use ci:main",
            "attic watch-store main",
            "attic watch-store ci:main -j 8 --ignore-upstream-cache-filter --pid-file /tmp/pid",
            "attic watch-store main --since 10min --drain-timeout 5min --json",
            "attic watch-store main --since-start-of 1 --exit-with-pid 1",
            "attic watch-store",
            "attic watch-store stop",
            "attic watch-store stop --pid-file /tmp/pid",
            "attic watch-store stop main --queue-dir /tmp/queue",
            "attic watch-exec main -- nix build -L",
            "attic watch-exec -- nix-build",
            "attic post-build-hook main",
            "attic cache create main --public --priority 30 --upstream-cache-key-name a --upstream-cache-key-name b",
            "attic cache configure ci:main --private --retention-period 30days",
            "attic cache info main",
            "attic cache limits main --quota 10GiB --max-size 0 --read-only",
            "attic cache limits main --writable --json",
            "attic token list --server ci --expiring 14d --subject ada --all --json",
            "attic token make --sub ci --validity 90d --grant main=pull,push --grant team-*=pull",
            "attic token show 4711",
            "attic token revoke 4711",
            "attic token revoke --subject ada",
            "attic audit --since 30d --cache main --limit 5 --json",
            "attic warm ci:main nixpkgs#hello .#default --nix-arg=--impure",
            "attic cache destroy main --no-confirm",
            "attic completions bash",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        let Ok(Command::Login(login)) =
            Cli::try_parse_from(["attic", "login", "ci", "http://x", ""]).map(|cli| cli.command)
        else {
            panic!("an empty token is one that a script did not have")
        };
        assert_eq!(login.token.as_deref(), Some(""));
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "attic cache configure main --public --private",
            "attic cache configure main --retention-period 1day --reset-retention-period",
            "attic cache configure main --retention-period soon",
            "attic cache limits main --read-only --writable",
            "attic cache limits main --quota much",
            "attic token revoke",
            "attic token revoke 4711 --subject ada",
            "attic token make --sub ci --validity 90d",
            "attic warm main",
            "attic login ci http://x token --oidc",
            "attic push main x -j 0",
            "attic push main x --limit-rate 0",
            "attic push main x --limit-rate fast",
            "attic push main x --max-request-size 1K",
            "attic push main x --protocol http",
            "attic push main x --exclude [",
            "attic push main x --level 23",
            "attic watch-store main --since tomorrow",
            "attic watch-store main --since now --since-start-of 1",
            "attic watch-exec main",
            "attic watch-exec main nix build",
            "attic frobnicate",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_name_is_attics_when_called_so() {
        assert_eq!(program_name(Some(OsStr::new("/usr/bin/attic"))), "attic");
        assert_eq!(program_name(Some(OsStr::new("./flywheel-push"))), "flywheel-push");
        assert_eq!(program_name(None), "flywheel-push");
    }
}
