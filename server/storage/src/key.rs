//! Names of objects.

use std::{fmt, str::FromStr, sync::Arc};

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 512;

/// The longest segment, in bytes: what file systems take.
const MAX_SEGMENT_BYTES: usize = 255;

/// First segments that no key has: deployments in the field carry lifecycle rules that expire these prefixes.
const EXPIRED_PREFIXES: [&str; 2] = ["nar", "chunks"];

/// The name of an object: relative, of segments of `[A-Za-z0-9._-]` with `/` between them.
///
/// Valid as part of a file name and of a URL as it stands; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Empty, or too long.
    #[error("a key has 1 to {MAX_KEY_BYTES} bytes, this one has {0}")]
    Length(usize),
    /// A segment that is empty, too long, `.` or `..`.
    #[error("segment {0} of the key is empty, longer than {MAX_SEGMENT_BYTES} bytes, or one that names a folder")]
    Segment(usize),
    /// A character outside `[A-Za-z0-9._-]`.
    #[error("{0:?} is not allowed in a key")]
    Character(char),
    /// A prefix under which lifecycle rules in the field delete.
    #[error("keys under {0}/ are refused: lifecycle rules in the field expire them")]
    ExpiredPrefix(&'static str),
}

impl Key {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() || text.len() > MAX_KEY_BYTES {
            return Err(KeyError::Length(text.len()));
        }
        for (i, segment) in text.split('/').enumerate() {
            if matches!(segment, "" | "." | "..") || segment.len() > MAX_SEGMENT_BYTES {
                return Err(KeyError::Segment(i));
            }
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if let Some(c) = segment.chars().find(|&c| !allowed(c)) {
                return Err(KeyError::Character(c));
            }
            if i == 0
                && let Some(prefix) = EXPIRED_PREFIXES.into_iter().find(|&p| p == segment)
            {
                return Err(KeyError::ExpiredPrefix(prefix));
            }
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_relative_and_plain() {
        for good in ["a", "packs/00/ab-c_d.pack", "...", "a/.b", &"x".repeat(255), "narrow/x", "a/nar/b"] {
            assert_eq!(good.parse::<Key>().unwrap().to_string(), good);
        }
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a b", "a\\b", "ä", "a\0", "a\nb", "a%2fb"] {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(256).parse::<Key>().is_err());
        assert!(vec!["x".repeat(200); 3].join("/").parse::<Key>().is_err());
    }

    #[test]
    fn prefixes_that_expire_in_the_field_are_refused() {
        for bad in ["nar", "nar/x", "chunks", "chunks/a/b"] {
            assert!(matches!(bad.parse::<Key>(), Err(KeyError::ExpiredPrefix(_))), "{bad}");
        }
    }
}
