//! `promote …`, `explain` and `candidates`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use formats::{NarHash, PublicKey, StorePath, StorePathName};
use protocol::promotion::{TagName, Visibility};

#[derive(Debug, Subcommand)]
pub(crate) enum Promote {
    Check(CheckBuild),
    Claim(ClaimBuild),
    Attest(Attest),
    Status(Status),
    Verify(Verify),
    Withdraw(Retract),
    Revoke(Retract),
    Tag(MoveTag),
    Tags(Tags),
    History(History),
    Rollback(Rollback),
    Untag(Untag),
    Show(Show),
    Export(Export),
    Keys(Keys),
    Resolve(Resolve),
    Policy(Policy),
}

/// The cache that a command is about.
#[derive(Debug, Args)]
pub(crate) struct InCache {
    /// The cache; by default the one that ATTIC_CACHE names.
    #[arg(long, short, value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
}

/// What was built, and what is said of that.
#[derive(Debug, Args)]
pub(crate) struct Built {
    /// FLAKE#ATTRIBUTE; or outside flakes a .drv file, or a store path or a link to one, whose deriver is known.
    pub(crate) build: String,
    /// A check that was green for this revision; give it again for more.
    #[arg(long = "check", value_name = "NAME")]
    pub(crate) checks: Vec<String>,
    /// Say that builds ran in the sandbox.
    #[arg(long)]
    pub(crate) sandboxed: bool,
    /// Where an output went whose path does not follow from the derivation; give it again for more.
    #[arg(long = "output", value_name = "NAME=PATH", value_parser = output)]
    pub(crate) outputs: Vec<(StorePathName, PathBuf)>,
}

/// Say what would be found of a claim before anything is pushed: derivations are sent to be looked at, nothing else.
#[derive(Debug, Args)]
pub(crate) struct CheckBuild {
    #[command(flatten)]
    pub(crate) built: Built,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print what was found as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Claim that a derivation came to the outputs that are in the local store, and push what the cache lacks.
#[derive(Debug, Args)]
pub(crate) struct ClaimBuild {
    #[command(flatten)]
    pub(crate) built: Built,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Push nothing: the outputs are in the cache, or will be.
    #[arg(long)]
    pub(crate) no_push: bool,
    /// Wait until the claim is verified.
    #[arg(long, short)]
    pub(crate) wait: bool,
    /// Wait no longer than this.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1h")]
    pub(crate) timeout: Duration,
    /// Print the claim as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Attest that checks of a claim's outputs were green, or send an envelope that attests it.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["checks", "failed", "envelope"]))]
pub(crate) struct Attest {
    /// The claim.
    pub(crate) claim: i64,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// A check that was green; give it again for more.
    #[arg(long = "check", value_name = "NAME", requires = "key_file")]
    pub(crate) checks: Vec<String>,
    /// A check that failed; give it again for more.
    #[arg(long, value_name = "NAME", requires = "key_file")]
    pub(crate) failed: Vec<String>,
    /// The file with the secret key to sign with, as `nix key generate-secret` writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// A DSSE envelope with a test result of in-toto, signed elsewhere.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["checks", "failed", "key_file"])]
    pub(crate) envelope: Option<PathBuf>,
    /// Print what was taken as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what is asked of claims to a cache, or ask something else from now on.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(flatten)]
    pub(crate) within: InCache,
    /// A policy file to go by from now on.
    #[arg(long, value_name = "FILE", conflicts_with = "unset")]
    pub(crate) set: Option<PathBuf>,
    /// Go by the server's policy again.
    #[arg(long)]
    pub(crate) unset: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show a claim and what was found of it, or the newest claims.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The claim; the newest ones if none is named.
    pub(crate) claim: Option<i64>,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Have a claim verified again, as the policy is now.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The claim.
    pub(crate) claim: i64,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Take a claim back: `withdraw` one's own, or `revoke` any with the permission to promote. Its closure leaves every view.
#[derive(Debug, Args)]
pub(crate) struct Retract {
    /// The claim.
    pub(crate) claim: i64,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Why.
    #[arg(long)]
    pub(crate) reason: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Move a tag onto clean claims, or make it.
#[derive(Debug, Args)]
pub(crate) struct MoveTag {
    /// The tag.
    pub(crate) tag: TagName,
    /// The claims.
    #[arg(required = true)]
    pub(crate) claims: Vec<i64>,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Make a release: it never moves.
    #[arg(long)]
    pub(crate) release: bool,
    /// Who may substitute from its view: local-only, internal or public.
    #[arg(long, default_value = "internal")]
    pub(crate) visibility: Visibility,
    /// Move it only from this revision; 0 is a tag that is not there. By default the one that it has now.
    #[arg(long, value_name = "REVISION")]
    pub(crate) expect: Option<i64>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the tags of a cache.
#[derive(Debug, Args)]
pub(crate) struct Tags {
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show where a tag was.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The tag.
    pub(crate) tag: TagName,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Move a channel back to an earlier revision.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The tag.
    pub(crate) tag: TagName,
    /// The revision.
    #[arg(long)]
    pub(crate) to: i64,
    /// Why.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Take back what a tag points at: its view is empty from then on.
#[derive(Debug, Args)]
pub(crate) struct Untag {
    /// The tag.
    pub(crate) tag: TagName,
    /// Why.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Change who may substitute from a tag's view.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The tag.
    pub(crate) tag: TagName,
    /// local-only, internal or public.
    pub(crate) visibility: Visibility,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write down what a public tag points at, for an outside surface: manifest, signed provenance, bill of materials, receipt.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The tag.
    pub(crate) tag: TagName,
    /// Where it goes, such as flakehub.
    #[arg(long)]
    pub(crate) surface: String,
    /// Under which address there.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The folder to write to.
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show the keys that sign a cache's views.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Sign with a new key too, from now on.
    #[arg(long)]
    pub(crate) rotate: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Settle a disagreement of builders about a path.
#[derive(Debug, Args)]
pub(crate) struct Resolve {
    /// The path.
    #[arg(value_parser = base_name)]
    pub(crate) path: StorePath,
    /// The NAR hash that counts.
    #[arg(long)]
    pub(crate) nar_hash: NarHash,
    /// Why.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Download again what is served of a path or a tag, and say whether hashes and signatures are right and what it is.
#[derive(Debug, Args)]
pub(crate) struct Verification {
    /// A store path, a link to one, the hash part of one; or CACHE@TAG.
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// A public key to trust in place of those that the server names; give it again for more.
    #[arg(long = "key", value_name = "NAME:KEY")]
    pub(crate) keys: Vec<PublicKey>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Say where a path or a tag stands: in which caches and views, clean or why not, promoted by whom, kept why.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A store path, a link to one, the hash part of one, or a tag.
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// List what could be promoted, and what stands in the way of the rest.
#[derive(Debug, Args)]
pub(crate) struct Candidates {
    #[command(flatten)]
    pub(crate) within: InCache,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn output(text: &str) -> Result<(StorePathName, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("write NAME=PATH")?;
    Ok((name.parse().map_err(|error| format!("{name:?} is no name of an output: {error}"))?, path.into()))
}

fn base_name(text: &str) -> Result<StorePath, String> {
    let base = text.rsplit('/').next().unwrap_or(text);
    base.parse().map_err(|error| format!("{text:?} is no store path: {error}"))
}
