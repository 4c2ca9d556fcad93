//! The command lines of `token`, `audit`, `cache limits` and `warm`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use protocol::{CacheName, CachePattern, Permission, Permissions};

use super::push::bytes_or_none;

/// Which server to ask.
#[derive(Debug, Args)]
pub(crate) struct OnServer {
    /// The server, as it was called at `login`; by default ATTIC_SERVER, else the default server.
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// List the tokens that you may manage, by when they end.
    List {
        #[command(flatten)]
        on: OnServer,
        /// Only those that end within this time, such as "14d".
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        expiring: Option<Duration>,
        /// Only those of this subject.
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
        /// Those that have ended or were revoked, too.
        #[arg(long)]
        all: bool,
        /// Print a JSON object for each, on a line of its own.
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of a token, as JSON.
    Show {
        #[command(flatten)]
        on: OnServer,
        /// Which token.
        #[arg(value_name = "JTI")]
        id: String,
    },
    /// Make a token that may do no more than your own, and print it.
    Make {
        #[command(flatten)]
        on: OnServer,
        /// Whom or what it is for.
        #[arg(long, value_name = "SUBJECT")]
        sub: String,
        /// How long it is good, such as "90d".
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        validity: Duration,
        /// What it may do, such as "main=pull,push" or "team-*=pull"; give it again for more.
        #[arg(long = "grant", value_name = "PATTERN=PERMISSION,…", required = true, value_parser = grant)]
        grants: Vec<(CachePattern, Permissions)>,
    },
    /// Revoke a token, or all tokens of a subject.
    #[command(group(ArgGroup::new("which").args(["id", "subject"]).required(true)))]
    Revoke {
        #[command(flatten)]
        on: OnServer,
        /// The token's name in the registry.
        #[arg(value_name = "JTI")]
        id: Option<String>,
        /// All tokens of this subject, also those made elsewhere until now.
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
    },
}

/// List what was done by those who may do more than push and pull, newest first.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(crate) on: OnServer,
    /// Only acts since so long ago, such as "30d".
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) since: Option<Duration>,
    /// Only acts on this cache.
    #[arg(long, value_name = "CACHE")]
    pub(crate) cache: Option<CacheName>,
    /// So many at most.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Print a JSON object for each, on a line of its own.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show or change what a cache may hold, and whether it takes anything in.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("switch").args(["read_only", "writable"])))]
pub(crate) struct Limits {
    /// The cache; by default the one that ATTIC_CACHE names.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
    /// Beyond this size the least recently used paths go, such as 10GiB; 0 is no limit.
    #[arg(long, value_name = "BYTES", value_parser = bytes_or_none)]
    pub(crate) max_size: Option<u64>,
    /// Beyond this size pushes are refused; 0 is no limit.
    #[arg(long, value_name = "BYTES", value_parser = bytes_or_none)]
    pub(crate) quota: Option<u64>,
    /// Take nothing in from now on.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Take pushes and changes in again.
    #[arg(long)]
    pub(crate) writable: bool,
    /// Print the limits as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Build things and push them, so that others find them in the cache.
#[derive(Debug, Args)]
pub(crate) struct Warm {
    /// The cache.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: String,
    /// What to build, as `nix build` takes it: nixpkgs#hello, .#checks.x86_64-linux.all, ….
    #[arg(value_name = "INSTALLABLE", required = true)]
    pub(crate) installables: Vec<String>,
    /// Hand this on to `nix build`, such as --nix-arg=--impure; give it again for more.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub(crate) nix_arg: Vec<String>,
    /// Push also what an upstream cache has signed.
    #[arg(long)]
    pub(crate) ignore_upstream_cache_filter: bool,
}

fn grant(text: &str) -> Result<(CachePattern, Permissions), String> {
    let (pattern, names) = text.split_once('=').ok_or("write PATTERN=PERMISSION,PERMISSION")?;
    let pattern = pattern.parse().map_err(|error| format!("{pattern:?} is no pattern of cache names: {error}"))?;
    let mut permissions = Permissions::NONE;
    for name in names.split(',') {
        permissions = permissions.with(name.parse::<Permission>().map_err(|error| error.to_string())?);
    }
    Ok((pattern, permissions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_a_pattern_and_permissions() {
        let (pattern, permissions) = grant("team-*=pull,push").unwrap();
        assert_eq!(pattern.to_string(), "team-*");
        assert_eq!(permissions.iter().collect::<Vec<_>>(), [Permission::Pull, Permission::Push]);
        for bad in ["main", "main=", "main=pull,", "main=fly", "=pull", "a b=pull"] {
            assert!(grant(bad).is_err(), "{bad}");
        }
    }
}
