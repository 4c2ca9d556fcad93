//! The suite that every database must pass.
//!
//! A check is an async function over an empty index; it panics if the index is wrong. A database's own test is one call of
//! [`all`]. What the suite asks is what the traits promise, nothing about how it is kept.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is how a check fails")]

use std::{pin::Pin, sync::Arc};

pub use fixtures::new_cache;

use crate::Database;

/// Lists the checks of a file; one that is left out is dead code, which the compiler tells.
macro_rules! checks {
    ($($name:ident),+ $(,)?) => {
        pub(super) const CHECKS: &[super::Check] = &[
            $(super::Check { name: concat!(module_path!(), "::", stringify!($name)), run: |database| Box::pin($name(database)) }),+
        ];
    };
}

mod audit;
mod caches;
mod chunks;
mod collection;
mod commits;
mod concurrency;
mod documents;
mod fixtures;
mod inspection;
mod leases;
mod limits;
mod outcomes;
mod paths;
mod pins;
mod promotion;
mod promotion_records;
mod promotion_rules;
mod quarantine;
mod rebuild;
mod tokens;
mod uploads;
mod visibility;

/// An empty index, open.
type Subject = Arc<dyn Database>;

/// One thing that an index must do.
#[derive(Clone, Copy)]
struct Check {
    name: &'static str,
    run: fn(Subject) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Runs every check on an index of its own, which `open` makes, and panics with the names of those that failed.
///
/// Must be called on a runtime with several threads, since some checks compete with themselves.
///
/// # Panics
/// If a check fails.
pub async fn all<Opening: Future<Output = Subject>>(open: impl Fn() -> Opening) {
    let files = [
        audit::CHECKS,
        caches::CHECKS,
        chunks::CHECKS,
        commits::CHECKS,
        concurrency::CHECKS,
        documents::CHECKS,
        leases::CHECKS,
        limits::CHECKS,
        inspection::CHECKS,
        outcomes::CHECKS,
        paths::CHECKS,
        pins::CHECKS,
        promotion::CHECKS,
        promotion_records::CHECKS,
        promotion_rules::CHECKS,
        quarantine::CHECKS,
        rebuild::CHECKS,
        tokens::CHECKS,
        uploads::CHECKS,
        visibility::CHECKS,
    ];
    let mut failed = Vec::new();
    for check in files.into_iter().chain(collection::CHECKS).flatten() {
        let database = open().await;
        // In a task, so that a panic ends this check and not the suite; its message is printed as it happens.
        if tokio::spawn((check.run)(database)).await.is_err() {
            failed.push(check.name);
        }
    }
    assert!(failed.is_empty(), "failed checks: {failed:#?}");
}
