//! The store directory, which is a value and never assumed.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::store_path::{StorePath, StorePathError};
use crate::text::serde_as_text;

/// Why a text is not a store directory.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreDirError {
    /// It does not start with a slash.
    #[error("a store directory is an absolute path")]
    NotAbsolute,
    /// It ends with a slash, or has an empty, `.` or `..` component.
    #[error("a store directory has no trailing slash and no empty, '.' or '..' component")]
    NotPlain,
    /// It has a control character, which would break the line it is written on.
    #[error("a store directory has no control characters")]
    Control,
}

/// The directory that store paths lie in: `/nix/store`, unless somebody chose otherwise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreDir(String);

impl StoreDir {
    /// The directory as text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a full path; it must lie right in this directory.
    pub fn parse_path(&self, path: &str) -> Result<StorePath, StorePathError> {
        path.strip_prefix(&self.0)
            .and_then(|rest| rest.strip_prefix('/'))
            .filter(|base| !base.contains('/'))
            .ok_or(StorePathError::NotInStore)?
            .parse()
    }

    /// The full path of a store path.
    pub fn join(&self, path: &StorePath) -> String {
        format!("{}/{path}", self.0)
    }
}

impl Default for StoreDir {
    fn default() -> Self {
        Self("/nix/store".to_owned())
    }
}

impl FromStr for StoreDir {
    type Err = StoreDirError;

    fn from_str(text: &str) -> Result<Self, StoreDirError> {
        let components = text.strip_prefix('/').ok_or(StoreDirError::NotAbsolute)?;
        if components.split('/').any(|component| matches!(component, "" | "." | "..")) {
            return Err(StoreDirError::NotPlain);
        }
        if text.contains(char::is_control) {
            return Err(StoreDirError::Control);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for StoreDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for StoreDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(StoreDir);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_absolute_directories_only() {
        assert_eq!("/nix/store".parse::<StoreDir>().unwrap(), StoreDir::default());
        assert_eq!("/srv/my store".parse::<StoreDir>().unwrap().as_str(), "/srv/my store");
        for text in ["", "nix/store", "~/store"] {
            assert_eq!(text.parse::<StoreDir>(), Err(StoreDirError::NotAbsolute), "{text}");
        }
        for text in ["/", "/nix/store/", "//nix", "/nix//store", "/nix/./store", "/nix/..", "/nix/../store"] {
            assert_eq!(text.parse::<StoreDir>(), Err(StoreDirError::NotPlain), "{text}");
        }
        for text in ["/nix\n", "/nix/\r", "/a\0b"] {
            assert_eq!(text.parse::<StoreDir>(), Err(StoreDirError::Control), "{text:?}");
        }
    }

    #[test]
    fn paths_lie_right_in_it() {
        let store: StoreDir = "/other/store".parse().unwrap();
        let full = "/other/store/7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-x";
        let path = store.parse_path(full).unwrap();
        assert_eq!(store.join(&path), full);
        for outside in [
            "/nix/store/7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-x",
            "7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-x",
            "/other/store7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-x",
            "/other/store/7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-x/bin",
            "/other/store",
        ] {
            assert_eq!(store.parse_path(outside), Err(StorePathError::NotInStore), "{outside}");
        }
    }
}
