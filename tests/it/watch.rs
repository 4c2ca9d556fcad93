//! Watching a real Nix store while a real Nix builds in it.

mod chaos;
mod ci_steps;
mod exec;
mod hook;
mod lab;
mod restart;
mod stop;
