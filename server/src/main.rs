//! The `flywheel-server` program.
fn main() {}
