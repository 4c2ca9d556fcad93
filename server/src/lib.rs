//! The binary cache server.

pub mod app;
pub mod audit;
pub mod auth;
pub mod chore;
mod chores;
pub mod cli;
pub mod collect;
pub mod config;
mod encode;
pub mod exchange;
pub mod fetch;
pub mod figures;
pub mod http;
pub mod import;
pub mod index;
pub mod ingest;
pub mod inspect;
pub mod journal;
pub mod kept;
mod lifecycle;
pub mod metrics;
pub mod pack;
pub mod rebuild;
pub mod run;
pub mod store;
pub mod telemetry;
pub mod usage;
