//! The `flywheel-push` program.
fn main() {}
