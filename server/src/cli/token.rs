//! `token make`, and `make-token` with the options of `atticadm`.

mod grants;

use std::time::Duration;

use clap::{Args, Subcommand};
use protocol::{CachePattern, Claims, Permission, Permissions, Scope};
use rand::RngExt;

use super::{Context, Failure, Output};
use crate::{auth::TokenKeys, config::HumanDuration};
use grants::GrantArgs;

/// How long a token is good unless it is said.
const DEFAULT_VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
    /// Make a token: by default, one to pull from and push to the cache main
    Make(TokenMakeArgs),
}

#[derive(Debug, Args)]
pub(super) struct TokenMakeArgs {
    /// Whom or what the token is for; shown in the log
    #[arg(short, long, default_value = "ci-push")]
    sub: String,
    /// How long it is good, such as "30d" or "3 months" [default: 365d]
    #[arg(long, value_name = "DURATION", conflicts_with = "days")]
    validity: Option<HumanDuration>,
    /// How long it is good, in days; 0.04 is about an hour
    #[arg(short, long)]
    days: Option<f64>,
    /// A cache, or a pattern with *, that it may pull from and push to [default: main, if nothing else is granted]
    #[arg(short, long, value_name = "PATTERN")]
    cache: Vec<CachePattern>,
    /// Let it pull from, push to and create every cache
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    grants: GrantArgs,
    /// Print what the token would say, as JSON, in place of the token
    #[arg(long)]
    dump_claims: bool,
}

#[derive(Debug, Args)]
pub(super) struct MakeTokenArgs {
    /// Whom or what the token is for; shown in the log
    #[arg(long)]
    sub: String,
    /// How long it is good, such as "30d" or "3 months"
    #[arg(long, value_name = "DURATION")]
    validity: HumanDuration,
    #[command(flatten)]
    grants: GrantArgs,
    /// Print what the token would say, as JSON, in place of the token
    #[arg(long)]
    dump_claims: bool,
}

pub(super) fn run(verb: TokenVerb, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let TokenVerb::Make(args) = verb;
    let validity = match (args.validity, args.days) {
        (Some(validity), _) => validity.0,
        (None, Some(days)) => Duration::try_from_secs_f64(days * 86400.0)
            .map_err(|_| Failure::usage(format!("--days {days} is no length of time")))?,
        (None, None) => DEFAULT_VALIDITY,
    };
    let mut grants = args.grants.list();
    let read_write: Permissions = [Permission::Pull, Permission::Push].into_iter().collect();
    grants.extend(args.cache.into_iter().map(|pattern| (pattern, read_write)));
    if args.admin {
        grants.push((grants::everything(), read_write.with(Permission::CreateCache)));
    } else if grants.is_empty() {
        grants.push((grants::pattern("main"), read_write));
    }
    make(Request { sub: args.sub, validity, grants, dump_claims: args.dump_claims }, context, output)
}

pub(super) fn make_token(args: MakeTokenArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let MakeTokenArgs { sub, validity, grants, dump_claims } = args;
    make(Request { sub, validity: validity.0, grants: grants.list(), dump_claims }, context, output)
}

/// A token to be made.
struct Request {
    sub: String,
    validity: Duration,
    grants: Vec<(CachePattern, Permissions)>,
    dump_claims: bool,
}

fn make(request: Request, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    // The claims count whole seconds.
    if request.validity < Duration::from_secs(1) {
        return Err(Failure::usage("the token would have ended before it was made"));
    }
    let now = context.clock.now();
    let claims = Claims {
        sub: request.sub,
        exp: now.plus(request.validity),
        nbf: Some(now),
        iat: Some(now),
        jti: Some(format!("{:032x}", rand::rng().random::<u128>())),
        iss: None,
        scope: Scope::granting(&request.grants),
    };
    if request.dump_claims {
        let json = serde_json::to_string_pretty(&claims).map_err(|e| Failure::failed(e.to_string()))?;
        writeln!(output.data, "{json}")?;
        return Ok(());
    }
    let config = context.config(output)?;
    let token = TokenKeys::open(&config.jwt)?.mint(&claims)?;
    writeln!(output.data, "{token}")?;
    Ok(())
}
