//! Watching a real Nix store while a real Nix builds in it.

mod chaos;
mod exec;
mod hook;
mod lab;
mod restart;
mod stop;
