//! What the commands do.

mod admin;
mod cache;
mod completions;
mod login;
mod pin;
mod post_build_hook;
mod promote;
mod push;
mod use_cache;
mod verify;
mod warm;
mod watch;
mod watch_exec;
mod watch_store;

use crate::{
    cli::{Cache, Command},
    environment::Environment,
    output::{ExitStatus, Failure, Printer},
};

/// Does what was asked.
pub(crate) async fn run(
    program: &'static str,
    command: Command,
    environment: Environment,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    let done = match command {
        Command::Push(push) => return push::run(push, &environment, printer).await,
        Command::WatchStore(given) => return watch_store::run(given, &environment, printer).await,
        Command::WatchExec(given) => return watch_exec::run(given, &environment, printer).await,
        Command::Warm(warm) => return warm::run(warm, &environment, printer).await,
        Command::Verify(given) => return verify::run(given, &environment, printer).await,
        Command::Promote(verb) => return promote::run(verb, &environment, printer).await,
        Command::Explain(given) => promote::explain(&given, &environment, printer).await,
        Command::Candidates(given) => promote::candidates(&given, &environment, printer).await,
        Command::PostBuildHook(hook) => {
            post_build_hook::run(&hook, &environment, printer);
            Ok(())
        }
        Command::Login(login) => login::run(&login, &environment, printer).await,
        Command::Use(given) => use_cache::run(&given, &environment, printer).await,
        Command::Cache(Cache::Create(create)) => cache::create(create, &environment, printer).await,
        Command::Cache(Cache::Configure(configure)) => cache::configure(configure, &environment, printer).await,
        Command::Cache(Cache::Info(info)) => cache::info(&info, &environment, printer).await,
        Command::Cache(Cache::Destroy(destroy)) => cache::destroy(&destroy, &environment, printer).await,
        Command::Cache(Cache::Limits(limits)) => admin::limits(limits, &environment, printer).await,
        Command::Token(given) => admin::token(given, &environment, printer).await,
        Command::Audit(given) => admin::audit(given, &environment, printer).await,
        Command::Pin(given) => pin::run(given, &environment, printer).await,
        Command::Completions(completions) => {
            completions::run(program, &completions);
            Ok(())
        }
    };
    done.map(|()| ExitStatus::Ok)
}
