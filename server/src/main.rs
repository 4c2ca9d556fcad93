//! The `flywheel-server` program.

fn main() -> std::process::ExitCode {
    server::cli::main()
}
