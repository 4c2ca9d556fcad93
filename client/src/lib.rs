//! Pushes store paths and administers caches.
//!
//! A library and the program around it. The library never prints and never reads `$HOME` or the environment: what it has to
//! say goes to a [`report::Reporter`], what it has to know is an argument. The program is [`program`] and what is private
//! here; it uses the library as anybody else would.
//!
//! A push is decided before it is done: [`push::Push::plan`] makes a [`push::PushPlan`], a plain value that can be printed, and
//! [`push::Push::apply`] carries it out. What is known of the local store comes through [`nix::LocalStore`], what is known of
//! the server through [`api::Api`].

// So that the program names the library as from outside.
extern crate self as client;

pub mod api;
pub mod nix;
pub mod program;
pub mod promote;
pub mod push;
pub mod report;
pub mod retry;
pub mod verify;
pub mod watch;

mod cli;
mod commands;
mod config;
mod environment;
mod failure;
mod file;
mod netrc;
mod nix_conf;
mod output;
mod progress;
mod target;

#[cfg(test)]
mod fake_server;
