//! Reading narinfos.
//!
//! Nix finds a key up to the next colon, skips one character, and takes the value up to the next newline, searched from
//! there. So `References:` without a trailing space takes the following line as its value, and a line without a colon
//! becomes part of the next key. Such texts are refused here instead of being read as something nobody meant.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use thiserror::Error;

use super::{Compression, MAX_NARINFO_BYTES, NarInfo, UnknownCompression};
use crate::content_address::ContentAddressError;
use crate::hash::HashError;
use crate::path_info::PathInfo;
use crate::signature::SignatureError;
use crate::store_dir::StoreDir;
use crate::store_path::{StorePath, StorePathError};

/// Why a text is not a narinfo. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NarInfoError {
    /// It is longer than any real one.
    #[error("a narinfo of {bytes} bytes is longer than {max}", max = MAX_NARINFO_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not UTF-8.
    #[error("byte {position} of the narinfo is not UTF-8")]
    NotUtf8 {
        /// Where, counted from 0.
        position: usize,
    },
    /// The last line does not end with a newline.
    #[error("line {line} of the narinfo does not end with a newline")]
    NoNewline {
        /// Which line.
        line: usize,
    },
    /// The line has no colon and space; blank lines and HTML end here.
    #[error("line {line} of the narinfo is not 'Key: value'")]
    NotAField {
        /// Which line.
        line: usize,
    },
    /// The line has a control character, most likely a carriage return.
    #[error("line {line} of the narinfo has a control character")]
    Control {
        /// Which line.
        line: usize,
    },
    /// A key that may stand once stands again.
    #[error("line {line} of the narinfo gives {key} a second time")]
    Duplicate {
        /// Which line.
        line: usize,
        /// Which key.
        key: &'static str,
    },
    /// The value is not one of that key.
    #[error("line {line} of the narinfo has a bad {key}")]
    Field {
        /// Which line.
        line: usize,
        /// Which key.
        key: &'static str,
        /// What is wrong with it.
        source: FieldError,
    },
    /// A key that must be there is not.
    #[error("the narinfo has no {key}")]
    Missing {
        /// Which key.
        key: &'static str,
    },
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say all")]
pub enum FieldError {
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    ContentAddress(#[from] ContentAddressError),
    #[error(transparent)]
    Compression(#[from] UnknownCompression),
    #[error("not a decimal number below 2^64")]
    Number,
    #[error("a URL is not empty and has no spaces")]
    Url,
    #[error("a NAR is not empty")]
    NoSize,
}

/// A key that stands at most once.
struct Once<T> {
    key: &'static str,
    value: Option<T>,
}

impl<T> Once<T> {
    const fn new(key: &'static str) -> Self {
        Self { key, value: None }
    }

    fn set(&mut self, line: usize, value: Result<T, impl Into<FieldError>>) -> Result<(), NarInfoError> {
        if self.value.is_some() {
            return Err(NarInfoError::Duplicate { line, key: self.key });
        }
        self.value = Some(field(line, self.key, value)?);
        Ok(())
    }

    fn required(self) -> Result<T, NarInfoError> {
        self.value.ok_or(NarInfoError::Missing { key: self.key })
    }
}

fn field<T>(line: usize, key: &'static str, value: Result<T, impl Into<FieldError>>) -> Result<T, NarInfoError> {
    value.map_err(|source| NarInfoError::Field { line, key, source: source.into() })
}

pub(super) fn parse(store_dir: &StoreDir, text: &[u8]) -> Result<NarInfo, NarInfoError> {
    if text.len() > MAX_NARINFO_BYTES {
        return Err(NarInfoError::TooLong { bytes: text.len() });
    }
    let text = std::str::from_utf8(text).map_err(|error| NarInfoError::NotUtf8 { position: error.valid_up_to() })?;

    let mut path = Once::new("StorePath");
    let mut url = Once::new("URL");
    let mut compression = Once::new("Compression");
    let mut file_hash = Once::new("FileHash");
    let mut file_size = Once::new("FileSize");
    let mut nar_hash = Once::new("NarHash");
    let mut nar_size = Once::new("NarSize");
    let mut references = Once::new("References");
    let mut deriver = Once::new("Deriver");
    let mut ca = Once::new("CA");
    let mut signatures = BTreeSet::new();
    let mut extra = Vec::new();

    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        let content = content.strip_suffix('\n').ok_or(NarInfoError::NoNewline { line })?;
        if content.contains(char::is_control) {
            return Err(NarInfoError::Control { line });
        }
        let (key, value) = content.split_once(':').ok_or(NarInfoError::NotAField { line })?;
        let value = value.strip_prefix(' ').ok_or(NarInfoError::NotAField { line })?;
        match key {
            "StorePath" => path.set(line, store_dir.parse_path(value))?,
            "URL" => url.set(line, parse_url(value))?,
            "Compression" => compression.set(line, parse_compression(value))?,
            "FileHash" => file_hash.set(line, value.parse())?,
            "FileSize" => file_size.set(line, parse_number(value))?,
            "NarHash" => nar_hash.set(line, value.parse())?,
            "NarSize" => nar_size.set(line, parse_number(value).and_then(not_zero))?,
            "References" => references.set(line, parse_references(value))?,
            "Deriver" => deriver.set(line, parse_unless("unknown-deriver", value))?,
            "CA" => ca.set(line, parse_unless("", value))?,
            "Sig" => {
                signatures.insert(field(line, "Sig", value.parse())?);
            }
            _ => extra.push((key.to_owned(), value.to_owned())),
        }
    }

    Ok(NarInfo {
        info: PathInfo {
            path: path.required()?,
            nar_hash: nar_hash.required()?,
            nar_size: nar_size.required()?,
            references: references.value.unwrap_or_default(),
            deriver: deriver.value.flatten(),
            signatures,
            ca: ca.value.flatten(),
        },
        url: url.required()?,
        // Nix's default since before the key existed.
        compression: compression.value.unwrap_or(Compression::Bzip2),
        file_hash: file_hash.value,
        // Nix keeps 0 for "not known".
        file_size: file_size.value.filter(|size| *size != 0),
        extra,
    })
}

/// Whether the key can stand in `NarInfo::extra`.
pub(super) fn is_extra_key(key: &str) -> bool {
    const KNOWN: [&str; 11] = [
        "StorePath",
        "URL",
        "Compression",
        "FileHash",
        "FileSize",
        "NarHash",
        "NarSize",
        "References",
        "Deriver",
        "CA",
        "Sig",
    ];
    !KNOWN.contains(&key) && !key.contains(|c: char| c == ':' || c.is_control())
}

pub(super) fn is_url_char(c: char) -> bool {
    !c.is_whitespace() && !c.is_control()
}

fn parse_url(value: &str) -> Result<String, FieldError> {
    (!value.is_empty() && value.chars().all(is_url_char)).then(|| value.to_owned()).ok_or(FieldError::Url)
}

fn parse_compression(value: &str) -> Result<Compression, UnknownCompression> {
    if value.is_empty() { Ok(Compression::Bzip2) } else { value.parse() }
}

/// Digits only: Rust alone would also read a plus sign.
fn parse_number(value: &str) -> Result<u64, FieldError> {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FieldError::Number);
    }
    value.parse().map_err(|_| FieldError::Number)
}

fn not_zero(size: u64) -> Result<u64, FieldError> {
    if size == 0 { Err(FieldError::NoSize) } else { Ok(size) }
}

fn parse_references(value: &str) -> Result<BTreeSet<StorePath>, StorePathError> {
    value.split(' ').filter(|reference| !reference.is_empty()).map(str::parse).collect()
}

fn parse_unless<T: FromStr<Err: Display>>(none: &str, value: &str) -> Result<Option<T>, T::Err> {
    if value == none { Ok(None) } else { value.parse().map(Some) }
}
