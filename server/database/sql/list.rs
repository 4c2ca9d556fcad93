//! Lists as parameters: one JSON text, which `json_each` turns into rows, so that the statement is always the same.

use data_encoding::HEXLOWER;
use database::{Error, Result};

/// How many items go into one statement.
pub(crate) const BATCH: usize = 1000;

/// The items as JSON.
pub(crate) fn json<T: serde::Serialize>(items: &[T]) -> Result<String> {
    serde_json::to_string(items).map_err(|e| Error::Failed(Box::new(e)))
}

/// Byte strings as JSON, each as `unhex` takes it.
pub(crate) fn hexes<B: AsRef<[u8]>>(items: impl IntoIterator<Item = B>) -> Result<String> {
    json(&items.into_iter().map(|bytes| hex(bytes.as_ref())).collect::<Vec<_>>())
}

/// Bytes as `unhex` takes them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
