//! Lists as parameters: one JSON text, which `json_each` turns into rows, so that the statement is always the same.

use data_encoding::HEXLOWER;
use database::{Error, Result};

/// How many items go into one statement.
pub(crate) const BATCH: usize = 1000;

/// The items as JSON.
pub(crate) fn json<T: serde::Serialize>(items: &[T]) -> Result<String> {
    serde_json::to_string(items).map_err(|e| Error::Failed(Box::new(e)))
}

/// Bytes as `unhex` takes them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
