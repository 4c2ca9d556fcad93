//! `token`: making, listing and revoking tokens; and `make-token` with the options of `atticadm`.

mod grants;
mod list;
mod revoke;

use std::time::Duration;

use clap::{Args, Subcommand};
use database::Act;
use protocol::{CachePattern, Permission, Permissions, Scope};

use super::{Context, Failure, Output, block_on};
use crate::{
    audit::{Deed, Who},
    auth::{MintError, Minting, TokenKeys},
    config::HumanDuration,
    run::open_database,
};
use grants::GrantArgs;

/// How long a token is good unless it is said.
const DEFAULT_VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
pub(super) enum TokenVerb {
    /// Make a token: by default, one to pull from and push to the cache main
    Make(TokenMakeArgs),
    /// List the tokens that were made here and are still good
    List(list::ListArgs),
    /// Show a token
    Show(list::ShowArgs),
    /// Revoke a token, or all tokens of a subject
    Revoke(revoke::RevokeArgs),
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
    #[command(flatten)]
    last: MakeArgs,
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
    #[command(flatten)]
    last: MakeArgs,
}

/// What happens to the token.
#[derive(Debug, Args)]
pub(super) struct MakeArgs {
    /// Print what the token would say, as JSON, in place of the token
    #[arg(long)]
    dump_claims: bool,
    /// Do not write the token down: it is in no list, and can be revoked by its subject only
    #[arg(long)]
    unregistered: bool,
}

pub(super) fn run(verb: TokenVerb, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    match verb {
        TokenVerb::Make(args) => make_with_defaults(args, context, output),
        TokenVerb::List(args) => list::run(args, context, output),
        TokenVerb::Show(args) => list::show(&args, context, output),
        TokenVerb::Revoke(args) => revoke::run(args, context, output),
    }
}

fn make_with_defaults(args: TokenMakeArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
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
    let request = Request { sub: args.sub, validity, grants, last: args.last };
    make(request, context, output)
}

pub(super) fn make_token(args: MakeTokenArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let MakeTokenArgs { sub, validity, grants, last } = args;
    make(Request { sub, validity: validity.0, grants: grants.list(), last }, context, output)
}

/// A token to be made.
struct Request {
    sub: String,
    validity: Duration,
    grants: Vec<(CachePattern, Permissions)>,
    last: MakeArgs,
}

fn make(request: Request, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    // The claims count whole seconds.
    if request.validity < Duration::from_secs(1) {
        return Err(Failure::usage("the token would have ended before it was made"));
    }
    let now = context.clock.now();
    let who = Who::operator(&context.sources.environment);
    let minting = Minting {
        subject: request.sub,
        scope: Scope::granting(&request.grants),
        validity: request.validity,
        minted_by: who.subject,
        parent: None,
        proof: None,
    };
    if request.last.dump_claims {
        let claims = minting.claims(now);
        let json = serde_json::to_string_pretty(&claims).map_err(|e| Failure::failed(e.to_string()))?;
        writeln!(output.data, "{json}")?;
        return Ok(());
    }
    let config = context.config(output)?;
    let keys = TokenKeys::open(&config.jwt, &config.flywheel.tokens)?;
    if request.last.unregistered {
        let token = keys.mint(&minting.claims(now))?;
        writeln!(output.data, "{token}")?;
        return Ok(());
    }
    if !keys.can_mint() {
        return Err(MintError::PublicKeyOnly.into());
    }
    let unreachable = |failure: Failure| failure.hint("--unregistered makes a token that the registry does not know");
    config.validate().map_err(|error| unreachable(error.into()))?;
    let minted = block_on(async {
        let database = open_database(&config).await.map_err(|error| unreachable(error.into()))?;
        let minted = minting.mint(&keys, &*database, now).await?;
        let deed = Deed::done(Act::TokenMint).object(&minted.id).detail(format!("for {}", minted.subject));
        context.note(&*database, deed).await;
        Ok::<_, Failure>(minted)
    })??;
    writeln!(output.data, "{}", minted.token)?;
    Ok(())
}
