//! One binary for all integration tests: they start the real server and speak to it over the network.
//!
//! `FLYWHEEL_TEST_DATABASE=postgres` gives every server an index on PostgreSQL, which must be installed.
//! `REQUIRE_NIX=1` makes it a failure, not a skip, if `NIX_CLIENTS` names no Nix to test with; `FLYWHEEL_SEED` repeats a
//! random run.
#![expect(clippy::unwrap_used, reason = "tests")]

mod cli;
mod collect;
mod crash;
mod guards;
mod harness;
mod import;
mod in_bucket;
mod inspect;
mod layers;
mod memory;
mod nix;
mod promote;
mod replicas;
mod routes;
mod watch;
