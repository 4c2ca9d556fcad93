//! `--mode db-migrations`

use super::{Context, Failure, Output, block_on};
use crate::index::open_database;

pub(super) fn run(context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    // Opening it is what brings it up to date.
    block_on(open_database(&config))??;
    writeln!(output.notes, "The schema of {} is up to date.", config.database.url)?;
    Ok(())
}
