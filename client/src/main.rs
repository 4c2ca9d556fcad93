//! The `flywheel-push` program, which also goes by the name of `attic`.

fn main() -> std::process::ExitCode {
    client::program::main()
}
