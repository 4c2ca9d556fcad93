//! What `fsck` says of a server's store.

use std::collections::BTreeMap;

use super::Server;

/// What `fsck` said.
#[derive(Debug)]
pub(crate) struct Fsck {
    pub(crate) status: i32,
    pub(crate) report: serde_json::Value,
}

impl Fsck {
    /// Runs it with these options.
    #[track_caller]
    pub(crate) fn run(server: &Server, options: &[&str]) -> Self {
        let output = server.command().args(["fsck", "--json"]).args(options).output().unwrap();
        let status = output.status.code().unwrap();
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|error| {
            panic!("{error}: {status}: {}", String::from_utf8_lossy(&output.stderr));
        });
        Self { status, report }
    }

    /// How often it found what.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.report["counts"].clone()).unwrap()
    }

    /// The bytes of objects that the index does not know: a server died after it had stored them and before it could say so.
    pub(crate) fn unknown_bytes(&self) -> u64 {
        let unknown = self.findings().iter().filter(|finding| finding["kind"] == "pack-unknown");
        unknown.map(|finding| finding["size"].as_u64().unwrap()).sum()
    }

    /// The findings that were made the first time.
    pub(crate) fn findings(&self) -> &[serde_json::Value] {
        self.report["findings"].as_array().unwrap()
    }
}
