//! `flywheel-server`, built with the tests so that they always start what is in the tree.

fn main() -> std::process::ExitCode {
    server::cli::main()
}
