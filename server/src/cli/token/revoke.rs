//! `token revoke`

use std::io::Read;

use clap::{ArgGroup, Args};
use database::{Act, Database, NewToken};
use protocol::Claims;

use super::{
    super::{Context, Failure, Output, block_on},
    list::absent,
};
use crate::{
    audit::Deed,
    auth::TokenKeys,
    journal::Journal,
    run::{open_database, open_journal_beside},
};

/// No token is longer.
const MAX_TOKEN: u64 = 64 << 10;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["id", "subject", "stdin"]).required(true)))]
pub(in crate::cli) struct RevokeArgs {
    /// The token's name in the registry
    #[arg(value_name = "JTI")]
    id: Option<String>,
    /// All tokens of this subject, also those made elsewhere until now
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// The token that is given on standard input, wherever it was made
    #[arg(long)]
    stdin: bool,
}

pub(super) fn run(args: RevokeArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let given = if args.stdin {
        let mut text = String::new();
        std::io::stdin().lock().take(MAX_TOKEN).read_to_string(&mut text)?;
        let keys = TokenKeys::open(&config.jwt, &config.flywheel.tokens)?;
        let claims = keys.verify(text.trim(), context.clock.now());
        Some(claims.map_err(|error| Failure::failed(format!("this token is not good anyway: {error}")))?)
    } else {
        None
    };
    block_on(async {
        let database = open_database(&config).await?;
        let journal = open_journal_beside(&config).await?;
        let index = (&*journal, &*database);
        match (args.id, args.subject, given) {
            (Some(id), _, _) => one(&id, index, context, output).await,
            (_, Some(subject), _) => all_of(&subject, index, context, output).await,
            (_, _, Some(claims)) => this(claims, index, context, output).await,
            (None, None, None) => Err(Failure::usage("name a token, or a subject")),
        }
    })?
}

/// The index, and what has the storage know of what is done to it.
type Index<'a> = (&'a Journal, &'a dyn Database);

async fn one(
    id: &str,
    (journal, database): Index<'_>,
    context: &Context<'_>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    if journal.revoke_token(database, id, context.clock.now()).await? {
        context.note(database, Deed::done(Act::TokenRevoke).object(id)).await;
        writeln!(output.notes, "Revoked {id}.")?;
        return Ok(());
    }
    let known = database.find_token(id).await?;
    let row = known.ok_or_else(|| {
        absent(id).hint("one that was made elsewhere is revoked with `--subject`, or with `--stdin` if it is at hand")
    })?;
    writeln!(output.notes, "{} was revoked before.", row.id)?;
    Ok(())
}

async fn all_of(
    subject: &str,
    (journal, database): Index<'_>,
    context: &Context<'_>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let tokens = journal.revoke_subject(database, subject, context.clock.now()).await?;
    context.note(database, Deed::done(Act::TokenRevoke).object(format!("subject {subject}"))).await;
    writeln!(
        output.notes,
        "Revoked {tokens} tokens of {subject} that were made here, and whatever was made elsewhere."
    )?;
    Ok(())
}

/// A token that somebody has at hand: if the registry does not know it, it is written down as revoked.
async fn this(
    claims: Claims,
    (journal, database): Index<'_>,
    context: &Context<'_>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let Some(id) = claims.jti else {
        let failure = Failure::failed("this token has no jti, so that it cannot be told from others of its subject");
        return Err(failure.hint(format!("revoke them all: --subject {:?}", claims.sub)));
    };
    let now = context.clock.now();
    let row = NewToken {
        id: id.clone(),
        subject: claims.sub,
        scope: claims.scope,
        created_at: claims.iat.or(claims.nbf).unwrap_or(now),
        expires_at: claims.exp,
        minted_by: claims.iss.unwrap_or_else(|| "elsewhere".to_owned()),
        parent: None,
        proof: None,
        revoked_at: Some(now),
    };
    if !journal.register_revoked(database, &row).await? {
        return one(&id, (journal, database), context, output).await;
    }
    context.note(database, Deed::done(Act::TokenRevoke).object(&id).detail("made elsewhere")).await;
    writeln!(output.notes, "Revoked {id}, which was made elsewhere.")?;
    Ok(())
}
