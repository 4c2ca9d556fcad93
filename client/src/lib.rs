//! Pushes store paths and administers caches.
//!
//! A library that never prints and never reads `$HOME` or the environment: what it has to say goes to a [`report::Reporter`],
//! what it has to know is an argument. The program around it (`main.rs`, `commands/`) does the rest.
//!
//! A push is decided before it is done: [`push::Push::plan`] makes a [`push::PushPlan`], a plain value that can be printed, and
//! [`push::Push::apply`] carries it out. What is known of the local store comes through [`nix::LocalStore`], what is known of
//! the server through [`api::Api`].

pub mod api;
pub mod nix;
pub mod push;
pub mod report;
pub mod retry;

#[cfg(test)]
mod fake_server;
