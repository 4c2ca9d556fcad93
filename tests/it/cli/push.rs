//! `flywheel-push`, also as `attic`

mod admin;
mod caches;
mod exit;
mod login;
mod upload;
mod use_cache;
