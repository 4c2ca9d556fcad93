//! `completions`

use std::io::{self, Write};

use clap::CommandFactory;

use crate::cli::{Cli, Completions};

pub(super) fn run(program: &'static str, completions: &Completions) {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Cli::command().name(program), program, &mut script);
    // A shell that stopped reading has what it wants.
    let _ = io::stdout().write_all(&script);
}
