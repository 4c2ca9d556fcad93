//! `check-config`: what is in effect, and whether the server could start with it.

use super::{Context, Failure, Output};
use crate::{auth::TokenKeys, config::Signing};

pub(super) fn run(context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    write!(output.data, "{}", config.effective())?;
    config.validate()?;
    // The server's own secret is made when it starts: there is nothing to check, and nothing is to be written here.
    if !matches!(config.jwt.signing, Signing::OwnFile(_)) {
        TokenKeys::open(&config.jwt, &config.flywheel.tokens)?;
    }
    Ok(())
}
