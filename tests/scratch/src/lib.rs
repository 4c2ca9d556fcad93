//! PostgreSQL for tests: real servers, each with data of its own, that end with the test.
//!
//! [`Database::new`] is an empty database for a test: on the server that `FLYWHEEL_TEST_POSTGRES` names, which `scripts/test`
//! starts once for all processes, else on one that this process starts when it is first needed. [`Server`] is for tests that
//! do something to the server itself.
#![expect(clippy::expect_used, reason = "a test that cannot have its database fails on the spot")]

mod server;

use std::{
    process::{self, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

pub use server::Server;

/// An empty database, dropped with everything in it when this is.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// A database on the server that tests share.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        static SHARED: LazyLock<String> = LazyLock::new(|| match std::env::var("FLYWHEEL_TEST_POSTGRES") {
            Ok(url) if !url.is_empty() => url,
            _ => server::for_this_process(),
        });
        Self::on(&SHARED)
    }

    /// A database on the server at this address.
    fn on(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        psql(&format!("{server}/postgres"), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        psql(&format!("{server}/postgres"), &format!("CREATE DATABASE {name}"));
        Self { server: server.to_owned(), name }
    }

    /// Its address, with user and password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// What the database says to a statement, without titles, columns separated by `|`.
    ///
    /// # Panics
    /// If it fails.
    pub fn ask(&self, sql: &str) -> String {
        psql(&self.url(), sql)
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server may be gone, which drops it as well.
        let _ = command(&format!("{}/postgres", self.server), &format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .output();
    }
}

fn command(url: &str, sql: &str) -> Command {
    let mut command = Command::new("psql");
    command.args([
        "--no-psqlrc",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set",
        "ON_ERROR_STOP=1",
        "--command",
        sql,
        url,
    ]);
    command.stdin(Stdio::null());
    command
}

fn psql(url: &str, sql: &str) -> String {
    let output = command(url, sql).output().expect("psql is there: apt-get install postgresql");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it answers in UTF-8").trim_end().to_owned()
}
