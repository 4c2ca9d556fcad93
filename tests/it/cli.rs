//! The programs as people and scripts see them: everything they print, and how they end.
//!
//! In the snapshots, `> ` begins a line of standard output; the others are of standard error.

mod lab;
mod push;
mod server;
