//! Between columns and domain types. A value that cannot be names the column it stands in.

use std::{fmt::Display, str::FromStr};

use database::{ChunkRuns, Error, Result};

/// A column, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column(pub(crate) &'static str, pub(crate) &'static str);

impl Column {
    /// The error that the column holds something impossible.
    pub(crate) fn wrong(self, what: impl Display) -> Error {
        Error::Inconsistent { table: self.0, column: self.1, what: what.to_string() }
    }

    /// A number that comes from the column.
    pub(crate) fn number<T: TryFrom<i64>>(self, value: i64) -> Result<T> {
        T::try_from(value).map_err(|_| self.wrong(format_args!("{value} is out of range")))
    }

    /// A number that goes into the column.
    pub(crate) fn integer(self, value: u64) -> Result<i64> {
        i64::try_from(value).map_err(|_| self.wrong(format_args!("{value} is too large")))
    }

    /// Exactly `N` bytes.
    pub(crate) fn bytes<const N: usize>(self, bytes: &[u8]) -> Result<[u8; N]> {
        bytes.try_into().map_err(|_| self.wrong(format_args!("{} bytes instead of {N}", bytes.len())))
    }

    /// Text that a type reads.
    pub(crate) fn text<T: FromStr<Err: Display>>(self, text: &str) -> Result<T> {
        text.parse().map_err(|e| self.wrong(e))
    }

    /// Words separated by white space, each of which a type reads.
    pub(crate) fn words<T: FromStr<Err: Display>, C: FromIterator<T>>(self, text: &str) -> Result<C> {
        text.split_ascii_whitespace().map(|word| self.text(word)).collect()
    }

    /// A manifest.
    pub(crate) fn runs(self, bytes: &[u8]) -> Result<ChunkRuns> {
        ChunkRuns::decode(bytes).map_err(|e| self.wrong(e))
    }

    /// JSON that a type reads.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(self, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|e| self.wrong(e))
    }
}

/// The texts of some values, separated by spaces.
pub(crate) fn words<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for value in values {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&value.to_string());
    }
    text
}
