//! `flywheel-push`, built with the tests so that they always start what is in the tree.

fn main() -> std::process::ExitCode {
    client::program::main()
}
