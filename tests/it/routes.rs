//! What each URL answers; the files lie as the URLs do.
//!
//! The tests read as a specification: a request, and in `said` the status and the stable code of what comes back.

mod attic;
mod auth;
mod ops;
mod put;
pub(crate) mod said;
mod substituter;
mod urls;
mod world;

pub(crate) use said::said;
pub(crate) use world::create_cache;
